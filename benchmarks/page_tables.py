"""Tables as a page of the documentation has them, between comments that name them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; what comes after the first column is right-aligned where it is a number in every row."""
    told = [list(row) for row in rows]
    lines = [headings, ["---", *("---:" if _are_numbers(column) else "---" for column in _columns(told))], *told]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def _columns(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [list(column) for column in zip(*(row[1:] for row in rows), strict=True)]


def _are_numbers(column: Sequence[str]) -> bool:
    return all(re.match(r"[-+<]?[\d.]|-$|never$", value) for value in column)


def into_page(page: Path, tables: dict[str, str]) -> None:
    """Put each table in the place of the one that the page has by its name; raises ValueError where it has none."""
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        text, found = _place(name).subn(partial(_filled, table), text)
        if found != 1:
            raise ValueError(f"{page.name} has {found} places for the table {name!r}")
    page.write_text(text, encoding="utf-8")


def _filled(table: str, place: re.Match[str]) -> str:
    return f"{place[1]}\n{table}\n\n{place[3]}"


def on_page(page: Path, name: str) -> str:
    """The table that a page has by a name; raises ValueError where it has none."""
    found = _place(name).search(page.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{page.name} has no place for the table {name!r}")
    return found[2].strip()


def _place(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {re.escape(name)} -->\n)(.*?)(<!-- end -->)", re.DOTALL)
