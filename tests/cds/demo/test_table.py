"""The demo's table at any width: nothing of it is cut."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from cds.demo.table import TABLE_COLUMNS, Row, cards_text, show

CARDS = [
    {
        "indicator": "warning",
        "summary": "Increased 5-year image-based score 6.8 % (threshold 1.7 %), up 4.7 points in 6.0 years [sic]",
        "suggestions": [
            {"actions": [{"resource": {"resourceType": "ServiceRequest"}}]},
            {"actions": [{"resource": {"resourceType": "RiskAssessment"}}]},
        ],
    }
]
ROW = Row(
    "Ada Rising",
    "drawn to rise as the study's medians",
    "52",
    ["7 scored", "1 queued"],
    "6.79 %",
    "+4.7 points in 6.0 years",
    cards_text(CARDS),
)


def shown(*rows: Row, width: int) -> str:
    """What is printed at this width."""
    console = Console(width=width, file=StringIO(), record=True)
    show(rows, console)
    return console.export_text()


@pytest.mark.parametrize("width", [30, 60, 80, 100, TABLE_COLUMNS - 1, TABLE_COLUMNS, 120, 200])
def test_every_word_is_there_at_any_width(width: int) -> None:
    printed = shown(ROW, width=width)

    said = " ".join([ROW.name, ROW.shows, ROW.age, *ROW.exams, ROW.risk, ROW.change, ROW.cards.plain])
    words = set(printed.replace("│", " ").replace(";", " ").replace(",", " ").split())
    assert set(said.replace(",", " ").split()) <= words
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= width


def test_a_wide_terminal_shows_a_table_and_a_narrow_one_a_block_for_each_patient() -> None:
    assert "┃ Patient" in shown(ROW, width=TABLE_COLUMNS)
    narrow = shown(ROW, ROW, width=TABLE_COLUMNS - 1)
    assert "┃" not in narrow
    assert narrow.count("\nAda Rising\n") == 2


def test_a_call_that_brings_no_card_is_said_to_have_looked() -> None:
    assert cards_text([]).plain == "no card: looked, nothing to say, or a card overridden lately rests"
