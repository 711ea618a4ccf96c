"""The README's figures are those that `make bench` has kept."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.kept_results import NothingKept, kept_records
from benchmarks.page_tables import on_page
from benchmarks.readme import README, TABLE, table


def record(*rows: dict[str, Any], **also: object) -> dict[str, Any]:
    return {"date": "2026-11-29", "rows": list(rows), **also}


def row(what: str, seconds: float, floor_s: float | None = None, remark: str = "") -> dict[str, Any]:
    return {
        "what": what,
        "seconds": seconds,
        "floor_s": floor_s,
        "floor": "one copy" if floor_s else "",
        "remark": remark,
    }


def test_the_page_has_the_figures_of_the_newest_record() -> None:
    assert on_page(README, TABLE) == table(kept_records())


def test_a_row_says_how_many_times_its_floor_it_took() -> None:
    told = table([record(row("fetch", 0.2047, 0.0103, "68 MB"), stages={})])

    assert told.splitlines()[-1] == "| fetch | 205 | 10.3 | 19.9 | one copy | 68 MB |"


def test_a_row_without_a_floor_says_none_and_small_figures_keep_three_digits() -> None:
    told = table([record(row("store", 0.0000456), stages={})])

    assert told.splitlines()[-1].startswith("| store | 0.0456 | - | - |")


def test_of_decoders_only_those_in_use_are_told() -> None:
    rows = (row("decode one picture, RLE: in use", 0.1), row("decode one picture, RLE: another", 0.2))

    told = table([record(*rows, stages={})])

    assert "decode one picture, RLE |" in told
    assert "another" not in told


def test_a_record_of_a_part_is_passed_over() -> None:
    whole, part = record(row("whole", 0.1), stages={}), record(row("part", 0.1))

    assert "part" not in table([part, whole])
    with pytest.raises(NothingKept):
        table([part])
