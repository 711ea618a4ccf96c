"""The table in the documentation says of every duty of the checklist which test holds it, or why none does."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
TABLE = TESTS.parent / "docs" / "cds-hooks-conformance.md"
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
IDS = re.compile(r"test_((?:[A-Z]\d+_)+)")
DUTIES = {"MUST", "MUST [C]", "MUST if used", "MUST NOT", "SHOULD"}


@dataclass(frozen=True)
class Row:
    """One duty: its id and level, the tests that hold it, and what is said besides."""

    id: str
    level: str
    tests: frozenset[tuple[str, str]]
    reason: str


def rows() -> list[Row]:
    """The table as it is published."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if re.match(r"\| [A-Z]\d+ \|", line)]
    return [_row([cell.strip() for cell in line.strip("|").split("|")]) for line in lines]


def _row(cells: list[str]) -> Row:
    duty, level, _, held_by = cells
    return Row(duty, level, frozenset(NAMED.findall(held_by)), NAMED.sub("", held_by).replace("<br>", "").strip())


def written_tests() -> Iterator[tuple[str, str]]:
    """Every test of the project, by module and name."""
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield file.relative_to(TESTS).as_posix(), node.name


def ids_of(name: str) -> list[str]:
    """The ids that a test is named by."""
    found = IDS.match(name)
    return found[1].strip("_").split("_") if found else []


ROWS = rows()


def test_every_duty_is_in_the_table_once() -> None:
    counted = Counter(row.id for row in ROWS)

    assert len(counted) > 90
    assert set(counted.values()) == {1}


def test_every_test_that_the_table_names_is_there() -> None:
    named = {test for row in ROWS for test in row.tests}

    assert named <= set(written_tests())


def test_every_test_that_is_named_by_an_id_is_in_its_row() -> None:
    held = {(row.id, test) for row in ROWS for test in row.tests}
    by_id = {(duty, test) for test in written_tests() for duty in ids_of(test[1])}

    assert by_id
    assert by_id - held == set()


def test_a_test_stands_only_in_the_rows_that_it_is_named_by() -> None:
    assert [(row.id, name) for row in ROWS for _, name in row.tests if row.id not in ids_of(name)] == []


@pytest.mark.parametrize("row", [row for row in ROWS if row.level in DUTIES], ids=lambda row: row.id)
def test_every_duty_has_a_test_or_a_reason_why_it_has_none(row: Row) -> None:
    assert row.tests or re.fullmatch(r"[A-Z].{20,}\.", row.reason)


def test_the_ids_of_a_test_are_read_from_its_name() -> None:
    assert ids_of("test_J2_J3_nothing_is_empty") == ["J2", "J3"]
    assert ids_of("test_nothing_J2_is_empty") == []
