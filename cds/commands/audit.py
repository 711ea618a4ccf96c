"""The commands `mammotrend audit verify | export`: whether the trail is whole, and what it tells, as FHIR."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from cds.commands.command_line import Config, plain_errors, set_up_logging
from cds.errors import MammoTrendError
from cds.settings import Settings, read_settings
from cds.store.audit import AuditTrail, Entry, EntryUnreadable, Verified
from cds.store.audit_chain import EMPTY, Head
from cds.store.database import open_database
from fhir_mappings.audit_events import AuditSource, ChainLink, audit_event
from fhir_mappings.errors import ResourceProblem

audit_app = typer.Typer(
    help="See whether the audit trail is whole, and export it. It holds patients' and users' identifiers.",
    no_args_is_help=True,
)


def _noted_down(written: str) -> Head:
    try:
        return Head.parse(written)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@audit_app.command("verify")
def verify(
    expect: Annotated[
        Head | None,
        typer.Option(
            parser=_noted_down,
            metavar="NUMBER:DIGEST",
            help="A head that was noted down before; it must still be part of the trail.",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Check every entry and print the head to note down elsewhere. Ends with status 1 where the trail is broken."""
    set_up_logging("WARNING")
    with plain_errors(), _whole_output():
        verified = _trail(read_settings(config)).verify(expect or EMPTY)
        _say(_found(verified))
    if verified.fault:
        raise typer.Exit(1)


def _found(verified: Verified) -> str:
    if verified.fault:
        return f"the audit trail is broken at entry {verified.fault.number}: {verified.fault.why}"
    if verified.head == EMPTY:
        return "the audit trail is empty"
    return f"entries 1 to {verified.head.number} are as they were written; note down elsewhere: {verified.head}"


class OutputNotWritten(MammoTrendError):
    """What a command found could not be written: the disk is full, or whoever should read it has gone."""


class NoSuchEntry(MammoTrendError):
    """`audit export` was given an EHR or a patient of whom the trail tells nothing."""


@audit_app.command("export")
def export(
    since: Annotated[
        datetime | None,
        typer.Option(
            help="Only entries of this day, or moment, in UTC and later.",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            show_default=False,
        ),
    ] = None,
    ehr: Annotated[str | None, typer.Option(help="Only of this EHR, by its name.", show_default=False)] = None,
    patient: Annotated[
        str | None, typer.Option(help="Only of this patient, by her FHIR id.", show_default=False)
    ] = None,
    config: Config = None,
) -> None:
    """Write the entries as FHIR AuditEvents, one JSON object a line, to standard output."""
    set_up_logging("WARNING")
    with plain_errors(), _whole_output():
        settings = read_settings(config)
        source = AuditSource(settings.service.label, settings.service.public_url)
        moment = since.replace(tzinfo=UTC) if since else None
        trail, is_empty = _trail(settings), True
        for entry in trail.entries(since=moment, ehr=ehr, patient_id=patient):
            _say(_line(entry, source))
            is_empty = False
        if is_empty:
            _refuse_unknown(trail, ehr, patient)


def _refuse_unknown(trail: AuditTrail, ehr: str | None, patient: str | None) -> None:
    """Where an export is empty: nothing may have happened since a moment, but a name may also be mistyped."""
    given = [option for option, value in (("--ehr", ehr), ("--patient", patient)) if value is not None]
    if given and next(trail.entries(ehr=ehr, patient_id=patient), None) is None:
        raise NoSuchEntry(f"the audit trail has no entry at all of this {' and '.join(given)}")


def _line(entry: Entry, source: AuditSource) -> str:
    link = ChainLink(entry.number, entry.digest, entry.written)
    try:
        return json.dumps(audit_event(entry.event, link, source), allow_nan=False)
    except ResourceProblem as problem:
        raise EntryUnreadable(f"entry {entry.number} of the audit trail is no AuditEvent: {problem}") from problem


def _trail(settings: Settings) -> AuditTrail:
    return AuditTrail(open_database(settings.database_url, must_exist=True))


@contextmanager
def _whole_output() -> Iterator[None]:
    """What the block says is written when it ends; raises OutputNotWritten. Else a full disk were a broken trail."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # Or the interpreter would try once more at its end, and end with a status of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputNotWritten(f"standard output does not take all that was found: {error.strerror}") from None


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
