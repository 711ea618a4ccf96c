"""The commands about what is in the store: what they print, and how they end."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cds.nightly.lease import LENGTH
from cds.nightly.night import lease_of
from cds.services import utc_now
from cds.store.assessments import AssessmentRecords
from cds.store.database import open_database
from cds.store.outbox import OutboxRecords
from cds.store.runs import RunRecords, RunSummary
from cds.store.tables import Destination
from model.card import DEMO_MODEL, read_card
from tests.cds.builders import EHR, LEASE, NOW, PATIENT, conclusion
from tests.cds.store.test_upgrade import first_layout
from tests.cds.test_cli import run, settings_file

pytestmark = pytest.mark.usefixtures("logging_as_found")

MODEL = read_card(DEMO_MODEL).version.key


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return settings_file(tmp_path)


@pytest.fixture
def engine(file: Path, tmp_path: Path) -> Engine:
    """The site's database, as its commands open it."""
    return open_database(f"sqlite:///{tmp_path / 'site.sqlite'}")


def conclude(engine: Engine, patient_id: str = PATIENT, five_year: float = 0.066, **changes: object) -> None:
    concluded = conclusion(f"1.2.{patient_id}", five_year, **changes)
    AssessmentRecords(engine).assess(EHR, patient_id, MODEL, NOW, lambda *_: concluded, {Destination.CHART})


# The database's layout


def test_an_empty_database_is_set_up_when_asked(file: Path, tmp_path: Path) -> None:
    (tmp_path / "site.sqlite").touch(mode=0o600)
    assert run("db", "status", "--config", file)[:2] == (
        1,
        "layout none: the database is empty; this program needs 0008\n",
    )
    assert run("db", "upgrade", "--config", file)[:2] == (0, "the database was empty; it now has 0008\n")
    assert run("db", "status", "--config", file)[:2] == (0, "layout 0008; this program needs 0008\n")


def test_an_older_database_is_named_by_every_command_and_upgraded_by_one(file: Path, tmp_path: Path) -> None:
    first_layout(f"sqlite:///{tmp_path / 'site.sqlite'}").dispose()

    status, _, err = run("worklist", "--config", file)
    assert (status, "run `mammotrend db upgrade`" in err) == (2, True)
    assert run("db", "upgrade", "--config", file)[1] == "the database had the layout 0001; it now has 0008\n"
    assert run("worklist", "--config", file)[0] == 0


@pytest.mark.parametrize(
    "command",
    ["db status", "outbox list", "outbox retry", "worklist", "runs", "report cards", "audit verify", "audit export"],
)
def test_a_command_that_only_reads_makes_no_database(file: Path, tmp_path: Path, command: str) -> None:
    status, out, err = run(*command.split(), "--config", file)

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"there is no database '{tmp_path / 'site.sqlite'}'; name the site's settings file by --config" in err
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("command", ["db status", "db upgrade", "outbox list", "runs", "audit verify"])
def test_a_database_that_does_not_answer_may_answer_later(tmp_path: Path, command: str) -> None:
    file = tmp_path / "mammotrend.toml"
    file.write_text(f'database_url = "postgresql+pg8000://u@/d?unix_sock={tmp_path}/none"\n')

    status, _, err = run(*command.split(), "--config", file)

    assert (status, err.count("\n")) == (75, 1)
    assert err.startswith("mammotrend: database_url: the database does not answer")


# The outbox


@pytest.mark.usefixtures("engine")
def test_an_empty_outbox_is_said_to_be_one(file: Path) -> None:
    assert run("outbox", "list", "--config", file)[:2] == (0, "nothing waits\n")


def test_what_waits_is_listed_and_what_was_given_up_ends_with_status_1(file: Path, engine: Engine) -> None:
    conclude(engine)
    status, out, _ = run("outbox", "list", "--config", file)
    assert (status, "queued" in out, EHR in out) == (0, True, True)

    records = OutboxRecords(engine)
    delivery = records.claim(NOW, LEASE)
    assert delivery is not None
    records.failed(delivery, "not accepted", NOW, final=True)
    status, out, _ = run("outbox", "list", "--config", file)
    assert (status, "dead" in out, PATIENT in out) == (1, True, False)

    assert run("outbox", "retry", delivery.id, "--config", file)[:2] == (0, "1 are tried again\n")
    assert run("outbox", "list", "--config", file)[0] == 0


@pytest.mark.usefixtures("engine")
def test_a_number_that_does_not_wait_is_told(file: Path) -> None:
    status, _, err = run("outbox", "retry", 7, "--config", file)

    assert status == 2
    assert "the other numbers are not waiting" in err


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("number", ["0", "99999999999999999999999"])
def test_a_number_that_no_delivery_can_have_is_told(file: Path, number: str) -> None:
    status, _, err = run("outbox", "retry", number, "--config", file)

    assert status == 2
    assert "Invalid value" in err


# The worklist


def test_the_worklist_is_written_in_each_form(file: Path, engine: Engine) -> None:
    conclude(engine, "p1", 0.02)
    conclude(engine, "p2", 0.066, newly_over=True, rising=True, change=0.045, years=6.0)
    conclude(engine, "p3", 0.01)

    rows = json.loads(run("worklist", "--format", "json", "--config", file)[1])
    assert [(row["patient_id"], row["five_year_percent"]) for row in rows] == [("p2", 6.6), ("p1", 2.0)]
    table = list(csv.DictReader(StringIO(run("worklist", "--format", "csv", "--config", file)[1])))
    assert [row["patient_id"] for row in table] == ["p2", "p1"]
    assert "newly over" in " ".join(run("worklist", "--config", file)[1].split())


@pytest.mark.parametrize("option", ["--newly-over", "--rising"])
def test_the_worklist_may_be_narrowed(file: Path, engine: Engine, option: str) -> None:
    conclude(engine, "p1", 0.066)
    conclude(engine, "p2", 0.02, newly_over=True, rising=True)

    rows = json.loads(run("worklist", option, "--format", "json", "--config", file)[1])

    assert [row["patient_id"] for row in rows] == ["p2"]


# The runs


def listed_runs(file: Path) -> list[list[str]]:
    """The cells of each run, newest first, without the model's."""
    out = run("runs", "--config", file)[1]
    return [[cell.strip() for cell in line.split("│")[1:9]] for line in out.splitlines() if line.startswith("│ 2")]


def test_runs_are_listed_with_their_numbers_and_a_killed_one_without_them(file: Path, engine: Engine) -> None:
    assert run("runs", "--config", file)[:2] == (0, "no run yet\n")
    runs = RunRecords(engine)
    runs.start(MODEL, NOW)
    runs.finish(runs.start(MODEL, NOW), RunSummary(5, 3, {"implant": 1}, {"no answer": 1}, 2), NOW)

    assert listed_runs(file) == [
        ["2026-05-20 23:30", "2026-05-20 23:30", "5", "3", "1", "1", "2", "0"],
        ["2026-05-20 23:30", "without a word", "", "", "", "", "", ""],
    ]


def test_a_run_that_a_process_is_at_is_told_from_killed_ones(file: Path, engine: Engine) -> None:
    runs = RunRecords(engine)
    for model in (MODEL, "another model", MODEL):
        runs.start(model, NOW)
    runs.take_lease(lease_of(MODEL), "a process", utc_now(), LENGTH)

    assert [row[1] for row in listed_runs(file)] == ["not yet", "without a word", "without a word"]
