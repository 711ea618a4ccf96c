"""What a run has measured is kept, whatever comes later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.kept_results import kept_records, newest_row
from benchmarks.running_record import RunningRecord, guarded
from benchmarks.timing import Finding, NotMeasured, Row


def half_a_part() -> Iterator[Row]:
    yield Row("first", 0.25, 0.125, "a copy", "and so on")
    raise ValueError("no more\nof it")


def test_a_step_that_fails_ends_neither_what_it_told_nor_the_others() -> None:
    told = list(guarded([("a part", half_a_part), ("another", lambda: [Finding("bits", "the same")])]))

    assert [type(line) for line in told] == [Row, NotMeasured, Finding]
    assert told[1] == NotMeasured("a part", "ValueError: no more")


def test_each_row_is_on_disk_before_the_next_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = RunningRecord(tmp_path / "results" / "today.json", {"cores": "2"})

    record.add(Row("forward", 0.25, 0.125, "a copy", "fast"))

    assert capsys.readouterr().out == "forward: 250.00 ms (floor 125.00 ms: a copy) fast\n"
    (kept,) = kept_records(tmp_path / "results")
    assert kept["machine"] == {"cores": "2"}
    assert newest_row([kept], "forward")["floor_s"] == 0.125


def test_a_whole_record_gets_its_name_and_what_else_it_has_to_have(tmp_path: Path) -> None:
    record = RunningRecord(tmp_path / "today.json")
    record.add(Row("forward", 0.25))
    record.add(Finding("bits", "the same"))

    kept = record.finish(stages={"exam_bytes": 1})

    assert kept == tmp_path / "today.json"
    assert [file.name for file in tmp_path.iterdir()] == ["today.json"]
    found = json.loads(kept.read_text())
    assert found["stages"] == {"exam_bytes": 1}
    assert found["findings"] == [{"what": "bits", "found": "the same"}]
    assert "not_measured" not in found


def test_one_that_is_not_whole_takes_no_earlier_ones_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier = tmp_path / "today.json"
    earlier.write_text('{"date": "2026-11-29", "stages": {}}')
    record = RunningRecord(earlier)
    record.add(Row("forward", 0.25))
    record.add(NotMeasured("a night", "OSError: no room"))

    kept = record.finish(stages={"exam_bytes": 1})

    assert json.loads(earlier.read_text()) == {"date": "2026-11-29", "stages": {}}
    found = json.loads(kept.read_text())
    assert [row["what"] for row in found["rows"]] == ["forward"]
    assert found["not_measured"] == [{"what": "a night", "why": "OSError: no room"}]
    assert "stages" not in found
    assert "NOT MEASURED: a night: OSError: no room" in capsys.readouterr().out
