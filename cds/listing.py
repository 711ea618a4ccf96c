"""A list as a table for people, or as CSV or JSON for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Entry = TypeVar("Entry", bound=DataclassInstance)


class Form(StrEnum):
    """How a list is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def write(
    entries: Iterable[Entry], kind: type[Entry], form: Form, out: TextIO, table: Callable[[Iterable[Entry]], Table]
) -> None:
    """Write dataclasses of one kind: as what `table` makes of them, or all fields with their numbers as they are."""
    if form is Form.TABLE:
        Console(file=out, width=None if out.isatty() else 120).print(table(entries))
    elif form is Form.JSON:
        out.write(json.dumps([asdict(entry) for entry in entries], indent=2, default=str) + "\n")
    else:
        writer = csv.DictWriter(out, [field.name for field in fields(kind)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in asdict(entry).items()} for entry in entries)


def _cell(value: Any) -> Any:
    """A spreadsheet would run a text that begins like a formula, and ids come from outside."""
    text = "; ".join(value) if isinstance(value, tuple) else value
    return f"'{text}" if isinstance(text, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
