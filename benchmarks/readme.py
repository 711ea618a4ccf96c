"""The README's figures: the newest whole record's rows, word for word. `python -m benchmarks.readme` writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.kept_results import Record, kept_records, newest_with
from benchmarks.page_tables import into_page, markdown

README = Path(__file__).parent.parent / "README.md"
TABLE = "bench"
HEADINGS = ("what", "ms", "floor, ms", "times the floor", "the floor is", "remark")
_DECODERS = "decode one picture"
_IN_USE = ": in use"
_LEFT_OUT = (
    *(
        f"demo model: {stage}"
        for stage in ("fetch (", "decode", "preprocess", "prepare,", "reference", "forward", "loading")
    ),
    "hook, 1 at a time, 95 %",
)


def table(records: Sequence[Record]) -> str:
    """The rows that a reader of the README wants; raises NothingKept without a record of `make bench`."""
    rows = newest_with(records, "stages")["rows"]
    return markdown(HEADINGS, [_told(row) for row in rows if _is_told(row["what"])])


def _is_told(what: str) -> bool:
    """Not those of decoders that are not in use, nor of the demo model's small pictures, nor twice of a lone call."""
    if what.startswith(_DECODERS):
        return what.endswith(_IN_USE)
    return not what.startswith(_LEFT_OUT)


def _told(row: Mapping[str, Any]) -> tuple[str, ...]:
    seconds, floor_s = row["seconds"], row["floor_s"]
    beside = (_digits(1000 * floor_s), _digits(seconds / floor_s)) if floor_s else ("-", "-")
    return (row["what"].removesuffix(_IN_USE), _digits(1000 * seconds), *beside, row["floor"], row["remark"])


def _digits(value: float) -> str:
    """Three of them, which is more than such a machine is good for."""
    places = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:,.{places}f}"


def main() -> None:
    """Put the table into the README."""
    into_page(README, {TABLE: table(kept_records())})


if __name__ == "__main__":
    main()
