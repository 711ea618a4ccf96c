"""Kept records come newest first, and what none of them has is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.kept_results import NothingKept, Record, kept_records, newest_row, newest_with
from tests.benchmarks.records import row


def test_the_newest_day_is_first(tmp_path: Path) -> None:
    for name, day in (("2026-11-23", "2026-11-23"), ("2026-11-25-hook", "2026-11-25"), ("2026-11-25", "2026-11-25")):
        (tmp_path / f"{name}.json").write_text(json.dumps({"date": day, "name": name}))

    assert [record["name"] for record in kept_records(tmp_path)] == ["2026-11-25", "2026-11-25-hook", "2026-11-23"]


def test_what_is_asked_for_is_taken_from_the_newest_that_has_it() -> None:
    kept: list[Record] = [
        {"rows": [row("a", 1.0)]},
        {"stages": 1, "rows": [row("a", 2.0), row("b, twice", 3.0)]},
        {"stages": 2},
    ]

    assert newest_with(kept, "stages")["stages"] == 1
    assert [newest_row(kept, what)["seconds"] for what in ("a", "b")] == [1.0, 3.0]


def test_what_no_record_has_is_said() -> None:
    with pytest.raises(NothingKept, match="'stages'"):
        newest_with([{"rows": []}], "stages")
    with pytest.raises(NothingKept, match="a row 'a'"):
        newest_row([{"stages": 1}], "a")
