"""The queue, scores, refusals and failures, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from cds.store.database import open_database
from cds.store.queueing import AT_A_TIME, MOST_LOST
from cds.store.store import EVERYTHING, ScoringJob, Selection, Store
from cds.store.tables import Priority, Score, ScoringState
from model.domain import STANDARD_VIEWS, PendingExam, Provenance, ScoredExam, SourceImage
from tests.cds.builders import EHR, LEASE, MODEL, NOW, claimed, new_exam, refused, scored
from tests.cds.store.asking import all_at_once, count, jobs, outcome
from tests.postgresql import PostgresqlServer

MINUTE = timedelta(minutes=1)
OTHER_MODEL = replace(MODEL, calibration="c2")
# The store of one test serves all examples: each takes a model of its own.
NUMBERS = itertools.count()
PROPERTY = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# Claiming


def test_urgent_exams_come_first_then_those_that_waited_longest(store: Store) -> None:
    store.register([new_exam("1.2.1")], MODEL.key, NOW - 2 * MINUTE)
    store.register([new_exam("1.2.2")], MODEL.key, NOW - 3 * MINUTE)
    store.register([new_exam("1.2.3")], MODEL.key, NOW - MINUTE)
    store.register([new_exam("1.2.3")], MODEL.key, NOW, urgent=True)
    store.register([new_exam("1.2.4")], MODEL.key, NOW, urgent=True)
    store.register([new_exam("1.2.4")], MODEL.key, NOW, urgent=False)

    assert [job.study_uid for job in jobs(store)] == ["1.2.3", "1.2.4", "1.2.2", "1.2.1"]


def test_what_is_queued_only_because_the_model_is_new_comes_last_however_long_it_waits(store: Store) -> None:
    store.register([new_exam(f"1.2.{number}", f"p{number}") for number in (1, 2, 3)], MODEL.key, NOW)
    store.queue_known("new", EVERYTHING, NOW - 3 * MINUTE)
    store.register([new_exam("1.2.4", "p4")], "new", NOW - MINUTE)
    store.register([new_exam("1.2.5", "p5")], "new", NOW - 2 * MINUTE)
    store.register([new_exam("1.2.3", "p3")], "new", NOW, urgent=True)

    assert [job.study_uid for job in jobs(store, "new")] == ["1.2.3", "1.2.5", "1.2.4", "1.2.1", "1.2.2"]


@dataclass
class Expected:
    """The queue as it should be: each exam, why it waits and since when. Exams of one remainder are one patient's."""

    known: dict[int, None] = field(default_factory=dict)
    priority: dict[int, Priority] = field(default_factory=dict)
    due: dict[int, datetime] = field(default_factory=dict)

    def step(self, what: str, exam: int, now: datetime) -> None:
        if what == "the model is new":
            has_news = {one % PATIENTS for one, why in self.priority.items() if why != Priority.BACKLOG}
            for one in [one for one in self.known if one not in self.due]:
                self.priority[one] = Priority.NEW if one % PATIENTS in has_news else Priority.BACKLOG
                self.due[one] = now
            return
        if what != "its images change":
            self.known[exam] = None
        if what == "another model knew it" or (what == "its images change" and exam not in self.due):
            return
        priority = Priority.URGENT if what == "a hook asks" else Priority.NEW
        is_news = exam not in self.due or what == "its images change" or priority < self.priority[exam]
        if is_news and (what != "it comes" or exam not in self.due):
            self.priority[exam] = min(self.priority.get(exam, priority), priority)
            self.due[exam] = now if what == "its images change" else self.due.get(exam, now)
            for hers in self.due:
                if hers % PATIENTS == exam % PATIENTS:
                    self.priority[hers] = min(self.priority[hers], Priority.NEW)

    def order(self) -> list[int]:
        return sorted(self.due, key=lambda exam: (self.priority[exam], self.due[exam]))


PATIENTS = 3
STEPS = ["it comes", "another model knew it", "the model is new", "a hook asks", "its images change"]


@PROPERTY
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 8)), max_size=20))
def test_whatever_happened_why_an_exam_waits_orders_the_queue_and_then_since_when(
    store: Store, steps: list[tuple[str, int]]
) -> None:
    example, now, expected = next(NUMBERS), NOW, Expected()
    model, ehr, uid = f"model-{example}", f"ehr-{example}", f"1.{example}."
    day = NOW.date() + timedelta(days=example)  # so that a new model finds no exams of earlier examples
    for what, number in steps:
        now += MINUTE
        exam = new_exam(f"{uid}{number}", f"p{number % PATIENTS}", ehr, performed_on=day)
        if what == "the model is new":
            store.queue_known(model, Selection(since=day), now)
        elif what == "its images change":
            store.reopen_study(exam.key, now)
        else:
            queued_for = f"before {model}" if what == "another model knew it" else model
            store.register([exam], queued_for, now, urgent=what == "a hook asks")
        expected.step(what, number, now)

    found = []
    while job := store.claim(model, now, LEASE):
        found.append(job.study_uid or "")

    assert found == [f"{uid}{number}" for number in expected.order()]


def test_each_job_goes_to_exactly_one_of_many_threads(store: Store) -> None:
    store.register([new_exam(f"1.2.{number}") for number in range(40)], MODEL.key, NOW)

    taken = all_at_once([lambda: [job.study_uid for job in jobs(store)]] * 8)

    handed_out = [study_uid for mine in taken for study_uid in mine]  # type: ignore[attr-defined]
    assert sorted(handed_out) == sorted(f"1.2.{number}" for number in range(40))


def test_a_claimed_exam_is_handed_out_again_when_its_lease_ends_and_not_before(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    first = claimed(store)

    assert store.claim(MODEL.key, NOW + LEASE - timedelta(microseconds=1), LEASE) is None
    again = claimed(store, NOW + LEASE)

    assert (again.scoring_id, again.attempts) == (first.scoring_id, 2)


def test_an_exam_is_not_handed_out_before_it_was_queued_nor_for_another_model(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)

    assert store.claim(MODEL.key, NOW - MINUTE, LEASE) is None
    assert store.claim(OTHER_MODEL.key, NOW, LEASE) is None


# Scores, refusals, failures


def test_a_score_comes_back_as_it_was_saved(store: Store) -> None:
    store.register([new_exam(imaging_study="ImagingStudy/s1")], MODEL.key, NOW)
    exam = scored(five_year=0.0170000000000000012)
    store.save_score(claimed(store), exam)

    kept = outcome(store)

    assert kept == replace(exam, imaging_study="ImagingStudy/s1")
    assert isinstance(kept, ScoredExam)
    assert kept.scored_at.utcoffset() == timedelta(0)
    assert store.claim(MODEL.key, NOW + timedelta(days=1), LEASE) is None


def test_a_score_is_never_overwritten(store: Store, engine: Engine) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    job = claimed(store)
    store.save_score(job, scored(five_year=0.02))

    store.save_score(job, scored(five_year=0.9))

    kept = outcome(store)
    assert isinstance(kept, ScoredExam)
    assert kept.score.five_year == 0.02
    assert count(engine, Score) == 1


def test_two_workers_that_save_the_same_score_at_one_moment_both_succeed(store: Store, engine: Engine) -> None:
    store.register([new_exam(ehr=f"ehr-{number}") for number in range(6)], MODEL.key, NOW)

    def save(job: ScoringJob) -> Callable[[], None]:
        return lambda: store.save_score(job, scored())

    all_at_once([save(job) for job in jobs(store)])

    assert count(engine, Score) == 1
    assert store.count(MODEL.key, ScoringState.SCORED) == 6


def test_a_refusal_comes_back_with_every_reason(store: Store) -> None:
    store.register([new_exam(performed_on=date(2026, 5, 3))], MODEL.key, NOW)
    store.save_refusal(claimed(store), refused(), NOW)

    assert outcome(store) == refused()
    assert store.count(MODEL.key, ScoringState.REFUSED) == 1
    assert store.claim(MODEL.key, NOW + timedelta(days=1), LEASE) is None


def test_an_exam_that_fails_stays_queued_with_its_reason_and_waits_twice_as_long_each_time(store: Store) -> None:
    store.register([new_exam(performed_on=date(2026, 5, 3))], MODEL.key, NOW)
    now = NOW
    for minutes in (1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360):
        store.save_failure(claimed(store, now), "the archive does not answer", now)
        now += minutes * MINUTE
        assert store.claim(MODEL.key, now - timedelta(seconds=1), LEASE) is None

    assert claimed(store, now).attempts == 12
    assert outcome(store) == PendingExam("1.2.1", date(2026, 5, 3), "the archive does not answer")
    assert store.count(MODEL.key, ScoringState.QUEUED) == 1


def test_every_held_exam_can_be_made_due_at_once_and_no_other_model_is_touched(store: Store) -> None:
    for model in (MODEL, OTHER_MODEL):
        store.register([new_exam()], model.key, NOW)
        job = store.claim(model.key, NOW, LEASE)
        assert job is not None
        store.save_failure(job, "the archive does not answer", NOW)

    store.make_due(MODEL.key, NOW)

    assert claimed(store).attempts == 2
    assert store.claim(OTHER_MODEL.key, NOW, LEASE) is None


def test_what_waits_is_counted_by_the_problem_of_its_last_attempt(store: Store) -> None:
    store.register([new_exam(f"1.2.{number}") for number in range(5)], MODEL.key, NOW)
    for problem in ("no connection", "no connection", "another patient ID"):
        store.save_failure(claimed(store), problem, NOW)
    store.save_score(claimed(store), scored("1.2.3"))

    assert store.queued(MODEL.key) == {"no connection": 2, "another patient ID": 1, None: 1}
    assert store.queued(OTHER_MODEL.key) == {}


def test_with_a_latest_moment_only_what_was_due_by_then_is_handed_out(store: Store) -> None:
    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    store.register([new_exam("1.2.2")], MODEL.key, NOW + MINUTE, urgent=True)

    job = store.claim(MODEL.key, NOW + MINUTE, LEASE, due_by=NOW)
    assert job is not None
    assert job.study_uid == "1.2.1"
    assert store.claim(MODEL.key, NOW + MINUTE, LEASE, due_by=NOW) is None
    assert store.claim(MODEL.key, NOW, LEASE, due_by=NOW + MINUTE) is None


def test_a_worker_that_comes_back_after_its_lease_neither_holds_nor_refuses_the_exam(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    late = claimed(store)
    current = claimed(store, NOW + LEASE)

    store.save_failure(late, "too slow", NOW + LEASE)
    store.save_refusal(late, refused(), NOW + LEASE)
    assert outcome(store) == PendingExam("1.2.1", None)
    store.save_score(current, scored())
    store.save_failure(current, "too slow", NOW + LEASE)

    assert isinstance(outcome(store), ScoredExam)


def test_a_score_that_comes_in_after_the_lease_is_kept_for_the_one_who_has_the_exam_now(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    late = claimed(store)
    current = claimed(store, NOW + LEASE)

    store.save_score(late, scored(five_year=0.02))
    store.save_score(current, scored(five_year=0.03))

    kept = outcome(store)
    assert isinstance(kept, ScoredExam)
    assert kept.score.five_year == 0.02


def test_hooks_and_a_worker_at_the_same_time_lose_nothing_and_never_find_the_database_locked(
    store: Store,
) -> None:
    def hook(patient: int) -> Callable[[], None]:
        exams = [new_exam(f"1.{patient}.{number}", f"p{patient}") for number in range(5)]

        def call() -> None:
            for exam in exams:
                store.register(exams[: exams.index(exam) + 1], MODEL.key, NOW, urgent=True)
                store.outcomes(EHR, f"p{patient}", [exam.key for exam in exams], MODEL.key)

        return call

    def work() -> None:
        for _ in range(15):
            job = store.claim(MODEL.key, NOW, LEASE)
            if job:
                store.save_score(job, scored(job.study_uid or ""))

    all_at_once([*(hook(patient) for patient in range(1, 7)), work, work])
    for job in jobs(store):
        store.save_score(job, scored(job.study_uid or ""))

    assert store.count(MODEL.key, ScoringState.SCORED) == 30


@PROPERTY
@given(
    steps=st.lists(st.tuples(st.sampled_from(["score", "refuse", "fail", "die"]), st.integers(0, 30)), max_size=12),
)
def test_whatever_happens_to_it_an_exam_is_scored_refused_or_queued(store: Store, steps: list[tuple[str, int]]) -> None:
    model = f"model-{next(NUMBERS)}"
    store.register([new_exam(f"1.4.{exam}") for exam in range(3)], model, NOW)
    now = NOW
    for step, minutes in steps:
        now += minutes * MINUTE
        job = store.claim(model, now, LEASE)
        if job and step == "score":
            exam = scored(job.study_uid or "")
            version = replace(exam.score.model, name=model)
            store.save_score(job, replace(exam, score=replace(exam.score, model=version)))
        if job and step == "refuse":
            store.save_refusal(job, refused(job.study_uid or ""), now)
        if job and step == "fail":
            store.save_failure(job, "a reason", now)

    assert sum(store.count(model, state) for state in ScoringState) == 3
    open_ones = store.count(model, ScoringState.QUEUED)
    later = now + timedelta(days=1)
    assert sum(store.claim(model, later, LEASE) is not None for _ in range(3)) == open_ones


def test_hooks_and_a_night_that_queue_the_same_exams_for_a_new_model_do_not_stop_each_other(store: Store) -> None:
    exams = [new_exam(f"1.2.{number}") for number in range(200)]
    store.register(exams, MODEL.key, NOW)

    def hook() -> None:
        for exam in reversed(exams):
            store.register([exam], "new", NOW, urgent=True)

    all_at_once([hook, *[lambda: store.queue_known("new", EVERYTHING, NOW)] * 4])

    assert store.count("new", ScoringState.QUEUED) == 200


def test_an_archive_of_more_exams_than_are_queued_at_a_time_is_queued_whole(store: Store) -> None:
    store.register([new_exam(f"1.2.{number}") for number in range(AT_A_TIME + 1)], MODEL.key, NOW)

    assert store.queue_known("new", EVERYTHING, NOW) == AT_A_TIME + 1
    assert store.queue_known("new", EVERYTHING, NOW) == 0


def test_what_a_hook_asks_for_is_found_by_indexes_however_many_exams_its_ehr_has(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}")
    asked: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda *call: asked.append(call[2:4]))
    Store(engine).outcomes(EHR, "p1", ["1.2.1", "1.2.2"], MODEL.key)

    ((statement, values),) = asked
    with engine.connect() as connection:
        plan = [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    engine.dispose()
    of_exams = [step for step in plan if "exam " in step and "exam_id" not in step]
    assert of_exams
    assert all("key=?" in step or "patient_id=?" in step for step in of_exams)


def test_a_moment_without_a_time_zone_is_refused(store: Store) -> None:
    with pytest.raises(Exception, match="an instant without a time zone"):
        store.register([new_exam()], MODEL.key, NOW.replace(tzinfo=None))


# Claims that nobody ends


def test_an_exam_that_is_tried_again_is_not_untried_while_it_is(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    store.save_failure(claimed(store), "no answer", NOW)
    claimed(store, NOW + MINUTE)

    assert store.untried(MODEL.key, NOW) == 0
    assert store.untried(MODEL.key, NOW + MINUTE) == 1


def test_an_exam_that_a_worker_has_is_not_taken_for_one_that_waits(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    store.save_failure(claimed(store), "no answer", NOW)
    later = NOW + MINUTE
    claimed(store, later)
    later += LEASE / 2

    store.make_due(MODEL.key, later)
    store.register([new_exam()], MODEL.key, later, urgent=True)

    assert store.claim(MODEL.key, later, LEASE) is None


@pytest.mark.integration
def test_a_worker_that_keeps_its_exams_and_a_hook_that_asks_for_them_do_not_stop_each_other(
    postgresql_server: PostgresqlServer,
) -> None:
    engine = open_database(postgresql_server.new_database())
    store = Store(engine)
    store.register([new_exam("1.2.1"), new_exam("1.2.2")], MODEL.key, NOW)
    first, second = jobs(store)
    ask = text("UPDATE scoring SET priority = 0 WHERE id = :errand")
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with ThreadPoolExecutor(1) as threads, engine.connect() as hook:
        hook.execute(ask, {"errand": first.scoring_id})
        keeping = threads.submit(store.renew, [second, first], NOW + MINUTE, LEASE)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watch:
            while not (watch.execute(waits).scalar_one() or keeping.done()):
                Event().wait(0.01)
        hook.execute(ask, {"errand": second.scoring_id})
        hook.commit()
        keeping.result(timeout=20)
    engine.dispose()


def test_how_many_workers_in_a_row_were_lost_with_an_exam_is_counted_until_one_is_not(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    now, lost = NOW, []
    for _ in range(4):
        lost.append(claimed(store, now).lost)
        now += LEASE
    job = claimed(store, now)
    store.save_failure(job, "no answer", now)

    assert [*lost, job.lost] == [0, 1, 2, 3, 4]


def test_an_exam_that_was_held_for_lost_workers_is_held_again_for_one_more_until_one_is_not_lost(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    now = NOW
    lost: list[int] = []
    for ends in (False, False, False, True, False, True, True, True):
        now += MINUTE
        store.register([new_exam()], MODEL.key, now, urgent=True)
        if lost and lost[-1] >= MOST_LOST:
            assert store.claim(MODEL.key, now, LEASE) is None  # however often it is asked for
            now += timedelta(hours=6)
        job = claimed(store, now)
        lost.append(job.lost)
        if ends:
            store.save_failure(job, "no answer", now)
        else:
            now += LEASE

    assert lost == [0, 1, 2, MOST_LOST, MOST_LOST - 1, MOST_LOST, MOST_LOST - 1, 0]


def test_a_score_of_the_same_images_under_a_corrected_date_is_another_score(store: Store, engine: Engine) -> None:
    made = Provenance((SourceImage(STANDARD_VIEWS[0], "1.9", "abc"),))
    store.register([new_exam()], MODEL.key, NOW)
    store.save_score(claimed(store), scored(day=date(2025, 5, 3), provenance=made))
    store.reopen_study("1.2.1", NOW)

    store.save_score(claimed(store), scored(day=date(2026, 5, 3), provenance=made))

    kept = outcome(store)
    assert isinstance(kept, ScoredExam)
    assert (kept.performed_on, kept.provenance) == (date(2026, 5, 3), made)
    assert count(engine, Score) == 2
