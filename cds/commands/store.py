"""The commands `mammotrend db | outbox | worklist | runs`: what is in the store, and what to do about it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import Engine

from cds.commands.command_line import Config, console, plain_errors, set_up_logging
from cds.errors import MammoTrendError
from cds.nightly.night import run_under_way
from cds.settings import read_settings
from cds.store.database import connect, open_database
from cds.store.database_faults import in_words
from cds.store.outbox import OutboxRecords
from cds.store.runs import RunRecords
from cds.store.tables import OutboxState, Run
from cds.store.upgrade import database_revision, newest_revision, upgrade_database

db_app = typer.Typer(help="See and bring up to date the layout of the database.", no_args_is_help=True)
outbox_app = typer.Typer(
    help="See what is on its way to the EHRs and archives, and try it again.", no_args_is_help=True
)


@db_app.command("upgrade")
def upgrade(config: Config = None) -> None:
    """Bring the database to the layout of this program. Back it up first."""
    set_up_logging("WARNING")
    with plain_errors():
        engine = connect(read_settings(config).database_url)
        with in_words(engine):
            before = upgrade_database(engine)
    _say(f"the database {f'had the layout {before}' if before else 'was empty'}; it now has {newest_revision()}")


@db_app.command("status")
def status(config: Config = None) -> None:
    """Say which layout the database has. Ends with status 1 where this program needs another."""
    set_up_logging("WARNING")
    with plain_errors():
        engine = connect(read_settings(config).database_url, must_exist=True)
        with in_words(engine):
            found = database_revision(engine)
    _say(f"layout {found or 'none: the database is empty'}; this program needs {newest_revision()}")
    if found != newest_revision():
        raise typer.Exit(1)


class NoSuchLetter(MammoTrendError):
    """`outbox retry` was given a number that is not waiting."""


@outbox_app.command("list")
def list_outbox(
    everything: Annotated[bool, typer.Option("--all", help="Also what was delivered or overtaken.")] = False,
    config: Config = None,
) -> None:
    """List what waits to be delivered and what was given up. Ends with status 1 where anything was given up."""
    set_up_logging("WARNING")
    states = list(OutboxState) if everything else [OutboxState.QUEUED, OutboxState.DEAD]
    with plain_errors():
        letters = OutboxRecords(_database(config)).letters(states)
    table = Table("Number", "To", "EHR", "State", "Attempts", "Queued", "Next attempt", "Problem")
    for letter in letters:
        due = f"{letter.due_at:%Y-%m-%d %H:%M}" if letter.state is OutboxState.QUEUED else ""
        queued = f"{letter.queued_at:%Y-%m-%d %H:%M}"
        cells = (letter.destination, letter.ehr, letter.state, str(letter.attempts), queued, due, letter.problem or "")
        table.add_row(str(letter.id), *cells)
    console().print(table if letters else "nothing waits")
    if any(letter.state is OutboxState.DEAD for letter in letters):
        raise typer.Exit(1)


@outbox_app.command("retry")
def retry_outbox(
    numbers: Annotated[
        list[int] | None, typer.Argument(min=1, max=2**31 - 1, help="Which ones; without numbers all.")
    ] = None,
    config: Config = None,
) -> None:
    """Have the worker try again at once what was given up or waits for its next attempt."""
    from cds.services import utc_now

    set_up_logging("WARNING")
    with plain_errors():
        records = OutboxRecords(_database(config))
        count = records.retry(utc_now(), numbers or ())
        if count < len(set(numbers or ())):
            raise NoSuchLetter(
                f"{count} are tried again; the other numbers are not waiting: see `mammotrend outbox list`"
            )
    _say(f"{count} are tried again")


def list_runs(config: Config = None) -> None:
    """List the last runs over the site, newest first."""
    from cds.services import utc_now

    set_up_logging("WARNING")
    with plain_errors():
        records = RunRecords(_database(config))
        runs = records.last()
        under_way = {run_under_way(records, model, utc_now()) for model in {run.model for run in runs}}
    table = Table()
    for heading in ("Begun", "Ended"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Found", "Scored", "Refused", "Failed", "Written", "Problems"):
        table.add_column(heading, justify="right")
    table.add_column("Model", overflow="fold")
    for run in runs:
        table.add_row(f"{run.started_at:%Y-%m-%d %H:%M}", *_what_came_of(run, run.id in under_way), run.model)
    console().print(table if runs else "no run yet")


def _what_came_of(run: Run, is_under_way: bool) -> tuple[str, ...]:
    """Its end and its numbers, which are only known then."""
    if run.finished_at is None:
        return ("not yet" if is_under_way else "without a word", *[""] * 6)
    refused, failed = sum(run.refused.values()), sum(run.failed.values())
    counts = (run.found, run.scored, refused, failed, run.written, len(run.problems))
    return (f"{run.finished_at:%Y-%m-%d %H:%M}", *map(str, counts))


def _database(config: Path | None) -> Engine:
    return open_database(read_settings(config).database_url, must_exist=True)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
