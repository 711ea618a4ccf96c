"""From every layout that a database had to the present one, with nothing lost, on SQLite and on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlmodel import SQLModel

from cds.errors import SettingsError
from cds.store.cards import CardRecords
from cds.store.database import connect, open_database
from cds.store.runs import RunRecords
from cds.store.stage_times import Spent, add_times, sum_times
from cds.store.store import Store
from cds.store.tables import ScoringState, Stage
from cds.store.upgrade import database_revision, newest_revision, upgrade_database
from model.domain import PendingExam, RefusedExam, ScoredExam
from tests.cds.builders import MODEL, NOW, new_exam
from tests.cds.store.asking import jobs, outcome
from tests.cds.store.layouts import laid_out

EXAM = (
    "INSERT INTO exam (id, ehr, patient_id, study_uid, patient_identifiers, first_seen_at) "
    "VALUES ({0}, 'ehr-1', 'p1', '1.2.{0}', '[\"MRN-1\"]', '2026-05-20 23:30:00')"
)
SCORING = (
    "INSERT INTO scoring (id, exam_id, model, state, urgent, queued_at, due_at, attempts, exclusions) "
    "VALUES ({0}, {0}, '{1}', '{2}', {3}, '2026-05-20 23:30:00', '2026-05-20 23:30:00', 1, '{4}')"
)
SCORE = (
    "INSERT INTO score (id, study_uid, model, model_name, weights, preprocessing, calibration, clinical, performed_on, "
    "calibrated, raw, manufacturer, device_model, software_versions, image_type, warnings, scored_at) VALUES "
    "(1, '1.2.1', '{0}', 'Demo', '{1}', 'p1', '{2}', {3}, '2026-05-03', '[0.01, 0.011, 0.012, 0.013, 0.021]', "
    "'[0.1, 0.2, 0.3, 0.4, 0.5]', 'HOLOGIC', 'Selenia', '1.8', 'FFDM', '[]', '2026-05-20 23:30:00')"
)
EXCLUSION = '[{"reason": "missing-view", "sentence": "No usable R MLO view.", "image_uid": null}]'


def first_layout(url: str, *, marked: bool = False) -> Engine:
    """A database as the first program left it, with a scored, a refused and a queued exam."""
    engine = connect(url)
    with laid_out(engine, "0001") as connection:
        if not marked:
            connection.execute(text("DROP TABLE alembic_version"))
        no = "false" if engine.dialect.name == "postgresql" else "0"
        for number, state, exclusions in ((1, "scored", "[]"), (2, "refused", EXCLUSION), (3, "queued", "[]")):
            connection.exec_driver_sql(EXAM.format(number))
            connection.exec_driver_sql(SCORING.format(number, MODEL.key, state, no, exclusions))
        connection.exec_driver_sql(SCORE.format(MODEL.key, MODEL.weights, MODEL.calibration, no))
    return engine


def test_the_steps_lead_to_the_tables_of_this_program(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, SQLModel.metadata) == []


@pytest.mark.parametrize("marked", [False, True])
def test_a_database_of_the_first_layout_keeps_everything(database_url: str, marked: bool) -> None:
    engine = first_layout(database_url, marked=marked)

    assert upgrade_database(engine) == "0001"

    assert database_revision(engine) == newest_revision()
    store = Store(engine)
    scored = outcome(store)
    assert isinstance(scored, ScoredExam)
    assert (scored.score.five_year, scored.score.model) == (0.021, MODEL)
    refused = outcome(store, "1.2.2")
    assert isinstance(refused, RefusedExam)
    assert [exclusion.reason for exclusion in refused.exclusions] == ["missing-view"]
    assert outcome(store, "1.2.3") == PendingExam("1.2.3", None)
    assert store.count(MODEL.key, ScoringState.QUEUED) == 1
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()


CARD = (
    "INSERT INTO card (uuid, ehr, patient_id, service, kind, summary, detail, indicator, suggestions, made_at) VALUES "
    "('c1', 'ehr-1', 'p1', 'a-service', 'not-over', 'Said.', '', 'info', '[]', '2026-05-20 23:30:00')"
)


def test_a_card_from_before_reasons_were_kept_is_found_without_them(database_url: str) -> None:
    engine = connect(database_url)
    with laid_out(engine, "0004") as connection:
        connection.exec_driver_sql(CARD)

    upgrade_database(engine)

    card = CardRecords(engine).find("c1", "ehr-1")
    assert card is not None
    assert (card.summary, card.reasoning) == ("Said.", {})
    engine.dispose()


def test_a_database_from_before_times_were_kept_takes_them(database_url: str) -> None:
    engine = connect(database_url)
    with laid_out(engine, "0005"):
        pass

    assert upgrade_database(engine) == "0005"

    add_times(engine, MODEL.key, NOW, {Stage.FETCH: Spent(1.5, 2)})
    assert sum_times(engine, MODEL.key)[Stage.FETCH] == Spent(1.5, 2)
    engine.dispose()


RUN = (
    "INSERT INTO run (id, model, started_at, found, scored, refused, failed, written, problems) VALUES "
    "(1, 'm', '2026-05-20 23:30:00', 5, 3, '{}', '{}', 0, '[]')"
)


def test_a_run_from_before_anything_was_cleared_away_has_cleared_nothing(database_url: str) -> None:
    engine = connect(database_url)
    with laid_out(engine, "0006") as connection:
        connection.exec_driver_sql(RUN)

    assert upgrade_database(engine) == "0006"

    (run,) = RunRecords(engine).last()
    assert (run.found, run.cleared) == (5, {})
    engine.dispose()


KNOWN_EXAM = (
    "INSERT INTO exam (id, ehr, patient_id, key, study_uid, patient_identifiers, source, listed, first_seen_at) "
    "VALUES ({0}, 'ehr-1', 'p{0}', '1.2.{0}', '1.2.{0}', '[]', 'ehr', {1}, '2026-05-20 23:30:00')"
)
ERRAND = (
    "INSERT INTO scoring (id, exam_id, model, state, urgent, queued_at, due_at, attempts, lost, exclusions) "
    "VALUES ({0}, {1}, '{2}', '{3}', {4}, '2026-05-20 2{5}:00:00', '2026-05-20 2{5}:00:00', 0, 0, '[]')"
)


def test_what_waited_for_a_new_model_before_comes_after_what_is_new_from_then_on(database_url: str) -> None:
    engine = connect(database_url)
    with laid_out(engine, "0007") as connection:
        no, yes = ("false", "true") if engine.dialect.name == "postgresql" else (0, 1)
        for exam in (1, 2, 3, 4):
            connection.exec_driver_sql(KNOWN_EXAM.format(exam, yes))
        for errand in (
            (1, 1, "the old model", "scored", yes, 0),
            (2, 2, "the old model", "scored", no, 0),
            (3, 1, MODEL.key, "queued", no, 1),
            (4, 2, MODEL.key, "queued", yes, 2),
            (5, 3, MODEL.key, "queued", no, 3),
            (6, 3, "the old model", "queued", no, 3),  # of a process that had the old settings
            (7, 4, MODEL.key, "queued", yes, 1),
        ):
            connection.exec_driver_sql(ERRAND.format(*errand))

    assert upgrade_database(engine) == "0007"

    assert [job.study_uid for job in jobs(Store(engine))] == ["1.2.4", "1.2.2", "1.2.3", "1.2.1"]
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()


def test_the_queues_indexes_end_with_the_id_so_that_what_is_due_at_one_moment_has_an_order(engine: Engine) -> None:
    for table in ("scoring", "outbox"):
        (queue,) = [index for index in inspect(engine).get_indexes(table) if index["name"] == f"{table}_queue"]
        assert queue["column_names"][-2:] == ["due_at", "id"]


def test_an_upgraded_database_goes_on_numbering_where_it_was(database_url: str) -> None:
    engine = first_layout(database_url)
    if engine.dialect.name == "postgresql":  # the rows above brought their own numbers
        with engine.begin() as connection:
            for table in ("exam", "scoring", "score"):
                connection.exec_driver_sql(f"SELECT setval('{table}_id_seq', 3)")
    upgrade_database(engine)

    assert Store(engine).register([new_exam("1.2.9")], MODEL.key, NOW) == 1
    engine.dispose()


def test_an_older_database_is_not_touched_unless_asked_and_the_error_says_what_to_do(database_url: str) -> None:
    older = first_layout(database_url)

    with pytest.raises(SettingsError, match="run `mammotrend db upgrade`"):
        open_database(database_url)
    assert not inspect(older).has_table("outbox")
    older.dispose()

    engine = open_database(database_url, upgrade=True)
    assert inspect(engine).has_table("outbox")
    engine.dispose()


@pytest.mark.parametrize("upgrade", [False, True])
def test_a_database_of_a_newer_program_is_refused(database_url: str, upgrade: bool) -> None:
    engine = open_database(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SettingsError, match="'9999' of a newer program"):
        open_database(database_url, upgrade=upgrade)
    engine.dispose()


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    assert upgrade_database(engine) == newest_revision()
    assert upgrade_database(engine) == newest_revision()


def test_a_step_that_fails_leaves_the_database_as_it_was(database_url: str) -> None:
    engine = first_layout(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE outbox (id INTEGER)")  # in the way of a later step

    with pytest.raises(SettingsError, match="cannot be opened"):
        open_database(database_url, upgrade=True)

    assert database_revision(engine) == "0001"
    assert "key" not in {column["name"] for column in inspect(engine).get_columns("exam")}
    engine.dispose()


UPGRADE = """
import sys
from cds.store.database import open_database
open_database(sys.argv[1], upgrade=True).dispose()
"""


def test_processes_that_upgrade_together_all_succeed(database_url: str) -> None:
    first_layout(database_url).dispose()
    command_line = [sys.executable, "-W", "error", "-c", UPGRADE, database_url]

    processes = [subprocess.Popen(command_line, stderr=subprocess.PIPE) for _ in range(3)]  # noqa: S603 # our own
    errors = [process.communicate(timeout=60)[1].decode() for process in processes]

    assert [process.returncode for process in processes] == [0] * 3, errors
    engine = open_database(database_url)
    assert isinstance(outcome(Store(engine)), ScoredExam)
    engine.dispose()
