"""The commands about the audit trail: what they print, and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from cds.commands.audit import audit_app
from cds.store.audit import AccessEvent, Action, AuditTrail, Read, ReadFrom, WebCall
from cds.store.database import open_database
from tests.cds.builders import EHR, NOW, PATIENT

pytestmark = pytest.mark.usefixtures("logging_as_found")

CALL = WebCall("breast-risk-order-select", "192.0.2.7", reads=(Read("Patient/x", ReadFrom.PREFETCH),))
ANSWERED = AccessEvent(Action.ANSWERED, NOW, EHR, PATIENT, user_id="Practitioner/dr1", call=CALL)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file."""
    file = tmp_path / "mammotrend.toml"
    file.write_text(f'database_url = "sqlite:///{tmp_path / "site.sqlite"}"\nservice.label = "Risk at Example"\n')
    return file


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """The site's database, as its commands open it."""
    return open_database(f"sqlite:///{tmp_path / 'site.sqlite'}")


@pytest.fixture
def trail(engine: Engine) -> AuditTrail:
    return AuditTrail(engine)


def run(*arguments: object) -> tuple[int, str, str]:
    """Status, standard output and standard error of a command."""
    result = CliRunner().invoke(audit_app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def exported(*arguments: object) -> list[dict[str, Any]]:
    status, out, err = run("export", *arguments)
    assert (status, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def link(resource: dict[str, Any]) -> dict[str, Any]:
    """What ties an AuditEvent to its entry."""
    (extension,) = resource["extension"]
    return {part["url"]: part.get("valueString", part.get("valuePositiveInt")) for part in extension["extension"]}


@pytest.mark.usefixtures("engine")
def test_an_empty_trail_is_said_to_be_one(file: Path) -> None:
    assert run("verify", "--config", file) == (0, "the audit trail is empty\n", "")
    assert exported("--config", file) == []


def test_a_whole_trail_tells_its_head_which_is_found_again_later(file: Path, trail: AuditTrail) -> None:
    trail.record(ANSWERED)
    status, out, _ = run("verify", "--config", file)
    head = out.split()[-1]

    assert (status, out) == (0, f"entries 1 to 1 are as they were written; note down elsewhere: {head}\n")
    trail.record(ANSWERED)
    assert run("verify", "--expect", head, "--config", file)[0] == 0
    status, out, _ = run("verify", "--expect", f"1:{'0' * 64}", "--config", file)
    assert (status, out) == (1, "the audit trail is broken at entry 1: it is not the entry that was noted down\n")


def test_a_broken_trail_ends_with_status_1_and_names_the_entry(file: Path, engine: Engine, trail: AuditTrail) -> None:
    for _ in range(3):
        trail.record(ANSWERED)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_never_deleted")
        connection.exec_driver_sql("DELETE FROM audit WHERE number = 2")

    assert run("verify", "--config", file)[:2] == (1, "the audit trail is broken at entry 2: it is missing\n")


def test_a_head_that_is_none_is_told_how_one_is_written(file: Path) -> None:
    status, _, err = run("verify", "--expect", "yesterday", "--config", file)

    assert status == 2
    assert "NUMBER:DIGEST" in err


def test_a_trail_that_cannot_be_looked_at_is_not_a_broken_one(tmp_path: Path) -> None:
    file = tmp_path / "nowhere.toml"
    file.write_text(f'database_url = "sqlite:///{tmp_path / "no-folder" / "x.sqlite"}"\n')

    assert run("verify", "--config", file)[0] == 2
    assert run("export", "--config", file)[0] == 2


@pytest.mark.parametrize("command", ["verify", "export"])
def test_output_that_cannot_be_written_is_not_a_broken_trail(file: Path, trail: AuditTrail, command: str) -> None:
    trail.record(ANSWERED)
    asked = [sys.executable, "-m", "cds.cli", "audit", command, "--config", str(file)]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(asked, stdout=full, stderr=subprocess.PIPE, check=False, text=True)  # noqa: S603 # ours

    said = "mammotrend: standard output does not take all that was found: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (2, said)


def test_the_export_is_one_audit_event_a_line_and_can_be_checked_without_the_database(
    file: Path, trail: AuditTrail
) -> None:
    for number in range(3):
        trail.record(replace(ANSWERED, detail=f"é {number}"))
    lines = exported("--config", file)

    before = ""
    for number, line in enumerate(lines, start=1):
        told = link(line)
        assert (line["resourceType"], told["number"]) == ("AuditEvent", number)
        assert sha256(told["written"].encode("ascii")).hexdigest() == told["digest"]
        assert json.loads(told["written"])["previous"] == before
        before = told["digest"]
    assert len(lines) == 3
    assert run("verify", "--expect", f"3:{before}", "--config", file)[0] == 0


def test_the_export_names_the_service_as_the_site_calls_it(file: Path, trail: AuditTrail) -> None:
    trail.record(ANSWERED)

    assert exported("--config", file)[0]["source"]["observer"] == {"display": "Risk at Example"}


def test_the_export_may_be_narrowed(file: Path, trail: AuditTrail) -> None:
    for event in (ANSWERED, replace(ANSWERED, patient_id="p2"), replace(ANSWERED, ehr="ehr-2")):
        trail.record(event)

    def numbers(*arguments: object) -> list[int]:
        return [link(line)["number"] for line in exported(*arguments, "--config", file)]

    assert numbers("--patient", PATIENT) == [1, 3]
    assert numbers("--patient", PATIENT, "--ehr", EHR) == [1]
    assert numbers("--since", "2026-05-20") == [1, 2, 3]
    assert numbers("--since", "2026-05-20T23:30:01") == []
    assert numbers("--since", "2026-05-20T23:30:01", "--patient", PATIENT) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ehr", "ehr-7"), "of this --ehr"),
        (("--patient", "Jane Doe"), "of this --patient"),
        (("--ehr", "ehr-7", "--patient", PATIENT), "of this --ehr and --patient"),
    ],
)
def test_an_ehr_or_patient_of_whom_the_trail_tells_nothing_is_told(
    file: Path, trail: AuditTrail, options: tuple[str, ...], said: str
) -> None:
    trail.record(ANSWERED)

    status, out, err = run("export", *options, "--config", file)

    assert (status, out) == (2, "")
    assert err == f"mammotrend: the audit trail has no entry at all {said}\n"


def test_an_entry_that_is_no_audit_event_is_told_by_its_number_and_names_nobody(file: Path, trail: AuditTrail) -> None:
    trail.record(ANSWERED)
    trail.record(replace(ANSWERED, patient_id="no id!"))
    status, out, err = run("export", "--config", file)

    assert (status, len(out.splitlines())) == (2, 1)
    assert "entry 2 of the audit trail is no AuditEvent" in err
    assert "no id!" not in err
