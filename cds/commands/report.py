"""The commands `mammotrend report ...`: what became of what the service said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from cds.commands.command_line import Config, console, plain_errors, set_up_logging
from cds.settings import read_settings
from cds.store.card_counts import CardCounts, count_cards
from cds.store.database import open_database

report_app = typer.Typer(help="Report what became of what the service said.", no_args_is_help=True)


@report_app.callback()
def _several() -> None:
    """Without it the only command would need no name."""


@report_app.command("cards")
def report_cards(
    since: Annotated[
        datetime | None,
        typer.Option(help="Only cards of this day (UTC) and later.", formats=["%Y-%m-%d"], show_default=False),
    ] = None,
    config: Config = None,
) -> None:
    """Count the cards by kind: shown, withheld, accepted, overridden and why."""
    set_up_logging("WARNING")
    with plain_errors():
        engine = open_database(read_settings(config).database_url)
        counts = count_cards(engine, since.replace(tzinfo=UTC) if since else None)
    table = Table("Card", "Shown", "Accepted", "Overridden", "Why overridden", "Withheld")
    for kind, count in sorted(counts.items()):
        table.add_row(kind or "of an older program", *_cells(count))
    console().print(table if counts else "no card yet")


def _cells(count: CardCounts) -> tuple[str, ...]:
    return (
        str(count.shown),
        _rate(count.accepted, count.shown),
        _rate(count.overridden, count.shown),
        _listed({reason or "no reason given": number for reason, number in count.reasons.items()}),
        _listed(dict(count.withheld)),
    )


def _rate(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.0%})" if whole else str(part)


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(numbers.items()))
