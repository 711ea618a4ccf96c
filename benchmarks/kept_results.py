"""What earlier runs of the benchmarks have kept, newest first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

Record = dict[str, Any]


class NothingKept(Exception):
    """No kept record has what is asked for: run the benchmark that measures it."""


def kept_records(folder: Path = RESULTS) -> list[Record]:
    """Every record, the newest day first; of one day in the order of their names, last first."""
    records = [(file.name, json.loads(file.read_text(encoding="utf-8"))) for file in folder.glob("*.json")]
    return [record for _, record in sorted(records, key=lambda one: (one[1]["date"], one[0]), reverse=True)]


def newest_with(records: Sequence[Record], key: str) -> Record:
    """The newest record that has a key; raises NothingKept."""
    for record in records:
        if key in record:
            return record
    raise NothingKept(f"no kept record has {key!r}")


def newest_row(records: Sequence[Record], what: str) -> Record:
    """The newest row whose words begin so; raises NothingKept."""
    for row in rows_of(records):
        if row["what"].startswith(what):
            return row
    raise NothingKept(f"no kept record has a row {what!r}")


def rows_of(records: Sequence[Record]) -> Iterator[Record]:
    """The rows of all records, in their order."""
    return (row for record in records for row in record.get("rows", ()))
