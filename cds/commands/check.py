"""The command `mammotrend check`: is every configured part there, and if not, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cds.commands.command_line import Config, console, set_up_logging
from cds.operations.checks import Check, Finding, Outcome
from cds.settings import read_settings

STYLES = {Outcome.OK: "green", Outcome.FAILED: "bold red", Outcome.LEFT_OUT: "dim"}


def check(
    model: Annotated[
        bool, typer.Option("--model/--no-model", help="Load the model and score its built-in exam.")
    ] = True,
    config: Config = None,
) -> None:
    """Try every configured part and say how to mend what fails. Exit status 1: something failed."""
    set_up_logging("ERROR")
    findings = list(_findings(config, model))
    console().print(_table(findings))
    if any(finding.outcome is Outcome.FAILED for finding in findings):
        raise typer.Exit(1)


def _findings(config: Config, model: bool) -> Iterable[Finding]:
    from cds.operations.site_checks import site_checks
    from cds.services import utc_now

    checks: list[Check] = []

    def read() -> str:
        checks.extend(site_checks(read_settings(config), utc_now, with_model=model))
        return "can be read"

    yield Check("settings file", read, "see deploy/mammotrend.toml, which explains every setting").finding()
    for one in checks:
        with console().status(f"Trying {one.part}"):
            yield one.finding()


def _table(findings: Iterable[Finding]) -> Table:
    table = Table("Part", "", "Found, and how to mend it", show_lines=True)
    for one in findings:
        said = escape(one.said) + (f"\n[bold]Mend:[/bold] {escape(one.mend)}" if one.mend else "")
        table.add_row(escape(one.part), f"[{STYLES[one.outcome]}]{one.outcome}[/]", said)
    return table
