"""Parts are measured in processes of their own: none takes another's rows with it."""

from __future__ import annotations

import sys

import pytest

from benchmarks.gpu.parts import PARTS, TIME_S, as_trial, lines, read, tell, told_by, written
from benchmarks.gpu.subject import TINY
from benchmarks.timing import Finding, Line, NotMeasured, Row

ROW = Row("forward", 0.25, 0.125, "a copy", "fast")


def told(program: str, limit_s: float = 60) -> list[Line]:
    return list(told_by([sys.executable, "-c", program], "a part", limit_s))


@pytest.mark.parametrize("line", [ROW, Finding("bits", "the same"), NotMeasured("forward", "OSError: ")])
def test_a_line_comes_through(line: Line) -> None:
    assert read(written(line)) == line


@pytest.mark.parametrize("printed", ["hello", "[1]", "{}", '{"kind": "Row"}', '{"kind": "other"}'])
def test_what_a_library_prints_is_kept(printed: str) -> None:
    assert read(f"{printed}\n") == Finding("printed", printed)


def test_a_process_that_ends_well_has_told_all() -> None:
    assert told(f"print({written(ROW)!r})") == [ROW]


def test_one_that_dies_keeps_what_it_told() -> None:
    assert told(f"import os; print({written(ROW)!r}, flush=True); os.abort()") == [
        ROW,
        NotMeasured("a part", "the rest: its process ended with status -6"),
    ]


def test_one_that_hangs_is_ended_with_the_processes_that_it_began() -> None:
    hangs = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"

    assert told(f"print({written(ROW)!r}, flush=True); {hangs}", limit_s=5) == [
        ROW,
        NotMeasured("a part", "the rest: it had not ended after 5 s"),
    ]


def test_what_there_is_no_time_for_is_not_begun() -> None:
    found = list(lines(TINY, time_s=0))

    assert found[0] == NotMeasured("dry run: network", "the time was up before it was begun")
    assert [type(line) for line in found] == [Finding if part.is_trial else NotMeasured for part in PARTS.values()]


def test_all_parts_have_less_than_five_minutes() -> None:
    assert TIME_S < 300
    assert list(PARTS)[-1] == "night"  # which has what the others leave


def test_what_is_only_tried_may_fail() -> None:
    assert as_trial(ROW) == ROW
    assert as_trial(NotMeasured("a graph", "Refused: no")) == Finding(
        "a graph", "it was tried, and not measured: Refused: no"
    )


def test_a_part_prints_what_another_process_reads(capsys: pytest.CaptureFixture[str]) -> None:
    tell("pictures", TINY)

    found = [read(printed) for printed in capsys.readouterr().out.splitlines()]
    assert found[0] == Finding("dry run: pictures made on it and on the CPU", "the same bits in all of 16")
    assert all(isinstance(line, Row) for line in found[1:])
