"""What the demo prints of its patients: a table, or a block for each where the terminal is too narrow for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

TITLE = "order-select, fired once for each patient"
TABLE_COLUMNS = 110
"""In fewer characters the table's cells would be cut."""
NO_CARD = "no card: looked, nothing to say, or a card overridden lately rests"
"""`{"cards": []}` does not tell which."""
OFFERS = {"ServiceRequest": "breast MRI order", "RiskAssessment": "RiskAssessment"}


@dataclass(frozen=True)
class Row:
    """One patient: who she is, what she shows, her numbers in words, and the cards that her call brought."""

    name: str
    shows: str
    age: str
    exams: Sequence[str]
    risk: str
    change: str
    cards: Text


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the rows so that nothing is cut at the console's width."""
    if console.width >= TABLE_COLUMNS:
        console.print(_table(rows))
        return
    console.print(TITLE, style="italic")
    for row in rows:
        console.print(_block(row))


def cards_text(cards: Sequence[dict[str, Any]]) -> Text:
    """The cards of one call: indicator, summary, and what each offers."""
    return Text("\n").join(map(_card, cards)) if cards else Text(NO_CARD, "dim")


def _card(card: dict[str, Any]) -> Text:
    resources = [action["resource"] for s in card.get("suggestions", ()) for action in s["actions"]]
    offers = [OFFERS[resource["resourceType"]] for resource in resources]
    text = Text(f"{card['indicator']}: ", "bold yellow" if card["indicator"] == "warning" else "bold")
    text.append(card["summary"], "not bold default")
    return text.append(f"\noffers: {', '.join(offers)}", "not bold dim") if offers else text


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title=TITLE, show_lines=True)
    table.add_column("Patient", ratio=2)
    for heading in ("Age", "Exams", "5-year risk", "Change"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Card", ratio=4)
    for row in rows:
        patient = Text(row.name, "bold").append(f"\n{row.shows}", "not bold dim")
        table.add_row(patient, row.age, "\n".join(row.exams), row.risk, row.change.replace(" in ", "\nin "), row.cards)
    return table


def _block(row: Row) -> RenderableType:
    numbers = f"age {row.age}; exams: {', '.join(row.exams)}; 5-year risk {row.risk}; change {row.change}"
    return Group("", Text(row.name, "bold"), Padding(Group(Text(row.shows, "dim"), Text(numbers), row.cards), (0, 2)))
