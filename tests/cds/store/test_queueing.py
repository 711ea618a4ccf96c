"""The scoring queue: what is new before what only waits for a new model, and nobody waits for nobody."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text, update
from sqlmodel import Session, col, select

from cds.store.database import open_database
from cds.store.queueing import AT_A_TIME, PATIENTS_AT_A_TIME
from cds.store.store import EVERYTHING, NewExam, Selection, Store
from cds.store.tables import Exam, ExamSource, Priority, Scoring
from model.domain import Exclusion, ExclusionReason, RefusedExam
from tests.cds.builders import EHR, LEASE, MODEL, NOW, PATIENT, new_exam, refused
from tests.cds.store.asking import all_at_once, jobs
from tests.postgresql import PostgresqlServer

MINUTE = timedelta(minutes=1)
TIMEOUT_S = 30.0


def backlog(store: Store, *exams: NewExam) -> None:
    """Exams that one model has seen, and that wait for another, `new`."""
    store.register(exams, MODEL.key, NOW)
    store.queue_known("new", EVERYTHING, NOW)


def test_with_a_new_exam_all_that_she_has_in_the_backlog_comes_forward_and_nobody_elses(store: Store) -> None:
    from_archive = new_exam("1.2.2", source=ExamSource.PACS)
    backlog(store, new_exam("1.2.1", "p2"), from_archive, new_exam("1.2.3"), new_exam("1.2.4", ehr="ehr-2"))

    store.register([new_exam("1.2.9")], "new", NOW + MINUTE)

    later = NOW + MINUTE
    found = [job.study_uid for job in iter(lambda: store.claim("new", later, LEASE), None)]
    assert found == ["1.2.2", "1.2.3", "1.2.9", "1.2.1", "1.2.4"]


def test_a_study_whose_images_change_is_new_and_brings_forward_what_its_patient_has(store: Store) -> None:
    backlog(store, new_exam("1.2.1", "p2"), new_exam("1.2.2"), new_exam("1.2.3"))

    store.reopen_study("1.2.3", NOW)

    assert [job.study_uid for job in jobs(store, "new")] == ["1.2.2", "1.2.3", "1.2.1"]


def test_a_study_that_its_ehr_changes_is_new_for_every_model(store: Store) -> None:
    backlog(store, new_exam("1.2.1", "p2"), new_exam("1.2.2", images="4 images"))

    store.register([new_exam("1.2.2", images="5 images")], MODEL.key, NOW)

    assert [job.study_uid for job in jobs(store, "new")] == ["1.2.2", "1.2.1"]


def refuse(store: Store, uid: str, *reasons: ExclusionReason, model: str = MODEL.key) -> None:
    """Have the next exam that is due refused for these reasons."""
    job = store.claim(model, NOW, LEASE)
    assert job is not None
    assert job.study_uid == uid
    said = tuple(Exclusion(reason, "Because of that.") for reason in reasons)
    store.save_refusal(job, RefusedExam(uid, job.performed_on, said), NOW)


def test_what_was_refused_for_a_reason_that_counts_no_more_is_queued_again_behind_what_is_new(store: Store) -> None:
    unit, view = ExclusionReason.DEVICE_NOT_VALIDATED, ExclusionReason.MISSING_VIEW
    exams = [new_exam(f"1.2.{number}", f"p{number}") for number in range(1, 5)]
    store.register(exams, MODEL.key, NOW)
    for uid, reasons in {"1.2.1": [unit], "1.2.2": [view], "1.2.3": [view, unit], "1.2.4": [unit]}.items():
        refuse(store, uid, *reasons)
    store.register([new_exam("1.2.9", "p9")], MODEL.key, NOW)

    assert store.queue_refused(MODEL.key, unit, Selection(patient_id="p4"), NOW) == 1
    assert store.queue_refused(MODEL.key, unit, EVERYTHING, NOW) == 2
    assert store.queue_refused(MODEL.key, unit, EVERYTHING, NOW) == 0

    assert store.untried(MODEL.key, NOW) == 1  # no night waits for them
    assert [job.study_uid for job in jobs(store)] == ["1.2.9", "1.2.1", "1.2.3", "1.2.4"]


def test_what_another_model_refused_stays_as_it_is(store: Store) -> None:
    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    refuse(store, "1.2.1", ExclusionReason.DEVICE_NOT_VALIDATED)

    assert store.queue_refused("new", ExclusionReason.DEVICE_NOT_VALIDATED, EVERYTHING, NOW) == 0
    assert jobs(store) == []


def test_more_than_one_transaction_may_hold_are_queued_again(store: Store) -> None:
    store.register([new_exam(f"1.2.{number}") for number in range(AT_A_TIME + 1)], MODEL.key, NOW)
    unit = ExclusionReason.DEVICE_NOT_VALIDATED
    while job := store.claim(MODEL.key, NOW, LEASE):
        store.save_refusal(job, RefusedExam(job.study_uid or "", None, (Exclusion(unit, "That."),)), NOW)

    assert store.queue_refused(MODEL.key, unit, EVERYTHING, NOW) == AT_A_TIME + 1


def test_what_a_hook_asks_for_is_urgent_although_it_was_backlog(store: Store) -> None:
    backlog(store, new_exam("1.2.1"), new_exam("1.2.2"), new_exam("1.2.3"))

    store.look_up(EHR, PATIENT, [new_exam("1.2.3")], "new", NOW, urgent=True)

    assert [job.study_uid for job in jobs(store, "new")] == ["1.2.3", "1.2.1", "1.2.2"]


@pytest.mark.parametrize("ahead", [timedelta(minutes=7), timedelta(hours=11)])
@pytest.mark.parametrize("what", ["found", "claimed", "held"])
@pytest.mark.parametrize("who", ["hook", "night"])
def test_what_a_clock_left_that_was_ahead_for_a_moment_is_tried_at_once_when_it_is_asked_for(
    store: Store, ahead: timedelta, what: str, who: str
) -> None:
    store.register([new_exam()], MODEL.key, NOW + (ahead if what == "found" else -MINUTE))
    if what != "found":
        job = store.claim(MODEL.key, NOW + ahead, LEASE)
        assert job is not None
        if what == "held":
            store.save_failure(job, "the archive is silent", NOW + ahead)
    assert store.claim(MODEL.key, NOW, LEASE) is None

    if who == "hook":
        store.look_up(EHR, PATIENT, [new_exam()], MODEL.key, NOW, urgent=True)
    else:
        store.make_due(MODEL.key, NOW)

    assert store.claim(MODEL.key, NOW, LEASE) is not None


def test_hooks_and_nights_that_bring_forward_the_same_patients_exams_do_not_stop_each_other(store: Store) -> None:
    exams = [new_exam(f"1.2.{number}", source=ExamSource.PACS) for number in range(40)]
    backlog(store, *exams)

    def arrive(number: int) -> Callable[[], int]:
        return lambda: store.register([new_exam(f"1.3.{number}")], "new", NOW)

    def ask() -> None:
        for at in range(0, 40, 8):
            store.register(exams[at : at + 8][::-1], "new", NOW, urgent=True)

    all_at_once([ask, *map(arrive, range(6)), lambda: store.make_due("new", NOW), ask])

    assert len(jobs(store, "new")) == 46


def test_a_new_model_finds_the_earlier_exams_of_a_patient_whose_new_one_is_queued_already(store: Store) -> None:
    store.register([new_exam("1.2.1", "p2"), new_exam("1.2.2"), new_exam("1.2.3")], MODEL.key, NOW)
    store.register([new_exam("1.2.9")], "new", NOW)

    store.queue_known("new", EVERYTHING, NOW)

    assert [job.study_uid for job in jobs(store, "new")] == ["1.2.9", "1.2.2", "1.2.3", "1.2.1"]


def test_a_new_model_puts_no_exam_before_others_for_what_its_patient_has_had_scored(store: Store) -> None:
    store.register([new_exam("1.2.1", "p2"), new_exam("1.2.2")], MODEL.key, NOW)
    store.register([new_exam("1.2.9")], "new", NOW)
    job = store.claim("new", NOW, LEASE)
    assert job is not None
    store.save_refusal(job, refused(), NOW)

    store.queue_known("new", EVERYTHING, NOW)

    assert [job.study_uid for job in jobs(store, "new")] == ["1.2.1", "1.2.2"]


def test_a_run_that_was_ended_before_it_brought_forward_what_is_behind_is_made_up_for_by_the_next(
    store: Store, engine: Engine
) -> None:
    backlog(store, new_exam("1.2.1", "p2"), new_exam("1.2.2"))
    store.register([new_exam("1.2.9")], "new", NOW)
    with Session(engine) as session:
        hers = select(Exam.id).where(Exam.key == "1.2.2")
        session.execute(update(Scoring).where(col(Scoring.exam_id).in_(hers)).values(priority=Priority.BACKLOG))
        session.commit()

    assert store.queue_known("new", EVERYTHING, NOW) == 0

    assert [job.study_uid for job in jobs(store, "new")] == ["1.2.2", "1.2.9", "1.2.1"]


def test_more_patients_than_one_question_may_name_come_forward_in_their_ehrs(store: Store) -> None:
    def exams(first: int) -> list[NewExam]:
        numbers = range(first, first + PATIENTS_AT_A_TIME + 1)
        return [new_exam(f"1.{n}", f"p{n % 1000}", ehr) for ehr in (EHR, "ehr-2") for n in numbers]

    store.register([*exams(1000), new_exam("1.1", "nobody")], MODEL.key, NOW)
    store.register(exams(2000), "new", NOW)

    store.queue_known("new", EVERYTHING, NOW)

    assert jobs(store, "new")[-1].study_uid == "1.1"


@pytest.mark.integration
def test_a_withdrawn_study_and_a_night_that_makes_the_same_exams_due_wait_for_each_other_in_one_order(
    postgresql_server: PostgresqlServer,
) -> None:
    engine = open_database(postgresql_server.new_database())
    store = Store(engine)
    store.register([new_exam(f"1.2.{number}") for number in (1, 2, 3)], MODEL.key, NOW)
    for job in jobs(store):
        store.save_failure(job, "the archive is silent", NOW)
    between = select(Scoring.id).join(Exam, col(Exam.id) == Scoring.exam_id).where(Exam.key == "1.2.2")

    with ThreadPoolExecutor(2) as others, Session(engine) as session:
        session.exec(between.with_for_update(of=Scoring)).one()
        # Both have to wait; of those that locked in different orders the database would end one.
        due = others.submit(store.make_due, MODEL.key, NOW)
        _await_waiting(engine, 1)
        withdrawn = others.submit(store.unlist, EHR, PATIENT, ["1.2.1", "1.2.2"], NOW)
        _await_waiting(engine, 2)
        session.rollback()
        due.result(TIMEOUT_S)
        assert withdrawn.result(TIMEOUT_S) == 1

    assert [job.study_uid for job in jobs(store)] == ["1.2.1", "1.2.2"]
    engine.dispose()


def _await_waiting(engine: Engine, count: int) -> None:
    """Return when so many transactions wait for a lock."""
    waiting = text("SELECT COUNT(DISTINCT pid) FROM pg_locks WHERE NOT granted")
    ends_s = time.monotonic() + TIMEOUT_S
    with engine.connect() as connection:
        while connection.execute(waiting).scalar_one() < count:
            assert time.monotonic() < ends_s
            time.sleep(0.02)
