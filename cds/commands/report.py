"""The commands `mammotrend report ...`: what became of what the service said, and of the exams it said nothing of."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from cds.commands.command_line import Config, console, plain_errors, set_up_logging
from cds.listing import Form, write
from cds.services import usable_card
from cds.settings import read_settings
from cds.store.card_counts import CardCounts, count_cards
from cds.store.database import open_database
from cds.store.unscored import UnscoredExam, unscored_exams

report_app = typer.Typer(help="Report what became of the cards, and which exams have no score.", no_args_is_help=True)


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
        engine = open_database(read_settings(config).database_url, must_exist=True)
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


@report_app.command("unscored")
def report_unscored(
    form: Annotated[Form, typer.Option("--format", help="How to write it.")] = Form.TABLE,
    config: Config = None,
) -> None:
    """List the exams that the model in use could not score, or that are held, each with every reason."""
    set_up_logging("WARNING")
    with plain_errors():
        settings = read_settings(config)
        engine = open_database(settings.database_url, must_exist=True)
        exams = list(unscored_exams(engine, usable_card(settings).version.key))
    write(exams, UnscoredExam, form, sys.stdout, _table_of_unscored)


def _table_of_unscored(exams: Iterable[UnscoredExam]) -> Table:
    table = Table(title="Exams that cannot be scored, or are held until what is wrong is mended")
    for heading in ("EHR", "Patient", "Exam", "Study UID or accession number", "State", "Why"):
        table.add_column(heading, overflow="fold")  # half an id is none
    for exam in exams:
        named = exam.study_uid or exam.accession_number or ""
        day = exam.exam_date.isoformat() if exam.exam_date else "date unknown"
        table.add_row(exam.ehr, exam.patient_id, day, named, exam.place, "\n".join(exam.reasons))
    return table
