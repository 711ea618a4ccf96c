"""Exams, scores and the queue, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlmodel import Session, func, select

from cds.store.store import BELONGS_TO_ANOTHER, NewExam, ScoringJob, Store
from cds.store.tables import Exam, Score, Scoring, ScoringState
from model.domain import PendingExam, RefusedExam, ScoredExam
from tests.cds.builders import EHR, LEASE, MODEL, NOW, PATIENT, claimed, new_exam, refused, scored

MINUTE = timedelta(minutes=1)
OTHER_MODEL = replace(MODEL, calibration="c2")
# The store of one test serves all examples: each takes a model of its own.
NUMBERS = itertools.count()
PROPERTY = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def outcome(
    store: Store, study_uid: str = "1.2.1", patient_id: str = PATIENT, ehr: str = EHR, model: str = MODEL.key
) -> ScoredExam | RefusedExam | PendingExam:
    """What is known of one study."""
    (found,) = store.outcomes(ehr, patient_id, [study_uid], model)
    return found


def count(engine: Engine, table: type[Exam | Scoring | Score]) -> int:
    """How many rows a table has."""
    with Session(engine) as session:
        return session.exec(select(func.count()).select_from(table)).one()


def jobs(store: Store, model: str = MODEL.key) -> list[ScoringJob]:
    """Everything that is due, in the order in which it is handed out."""
    found = []
    while job := store.claim(model, NOW, LEASE):
        found.append(job)
    return found


def all_at_once(work: Sequence[Callable[[], object]]) -> list[object]:
    """Run in as many threads and return what each returned; the first error is raised."""
    with ThreadPoolExecutor(len(work)) as threads:
        return [future.result(timeout=60) for future in [threads.submit(one) for one in work]]


# Registering


def test_a_registered_exam_is_queued_with_all_that_its_ehr_said(store: Store) -> None:
    day = date(2026, 5, 3)
    exam = new_exam(accession_number="A1", imaging_study="ImagingStudy/s1", performed_on=day, dicomweb_root="http://p")

    store.register([exam], MODEL.key, NOW)

    assert outcome(store) == PendingExam("1.2.1", day, None, "ImagingStudy/s1")
    assert claimed(store) == ScoringJob(1, "1.2.1", "http://p", day, 1, ("MRN-1",))


def test_registering_nothing_is_nothing(store: Store, engine: Engine) -> None:
    store.register([], MODEL.key, NOW)

    assert count(engine, Exam) == 0


def test_registering_twice_changes_nothing(store: Store, engine: Engine) -> None:
    exams = [new_exam("1.2.1"), new_exam("1.2.2")]
    store.register(exams, MODEL.key, NOW)
    store.save_score(claimed(store), scored("1.2.1"))

    store.register([*exams, *exams], MODEL.key, NOW + MINUTE)

    assert (count(engine, Exam), count(engine, Scoring)) == (2, 2)
    assert isinstance(outcome(store, "1.2.1"), ScoredExam)
    assert [job.study_uid for job in jobs(store)] == ["1.2.2"]


@PROPERTY
@given(calls=st.lists(st.lists(st.sampled_from(range(4)), max_size=6), max_size=4))
def test_whatever_the_order_and_repeats_each_exam_is_queued_once(store: Store, calls: list[list[int]]) -> None:
    model = f"model-{next(NUMBERS)}"
    for call in calls:
        store.register([new_exam(f"1.3.{exam}") for exam in call], model, NOW)

    assert sorted(job.study_uid for job in jobs(store, model)) == sorted({f"1.3.{e}" for call in calls for e in call})


def test_many_threads_that_register_the_same_exams_make_each_once(store: Store, engine: Engine) -> None:
    exams = [new_exam(f"1.2.{number}") for number in range(12)]
    orders = [exams, exams[::-1], exams[6:] + exams[:6]] * 2

    def register(order: list[NewExam]) -> Callable[[], None]:
        return lambda: store.register(order, MODEL.key, NOW, urgent=True)

    all_at_once([register(order) for order in orders])

    assert (count(engine, Exam), count(engine, Scoring)) == (12, 12)


def test_a_new_model_queues_an_exam_again_and_leaves_the_old_score(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    store.save_score(claimed(store), scored())

    store.register([new_exam()], OTHER_MODEL.key, NOW)

    assert isinstance(outcome(store), ScoredExam)
    assert isinstance(outcome(store, model=OTHER_MODEL.key), PendingExam)
    assert [job.study_uid for job in jobs(store, OTHER_MODEL.key)] == ["1.2.1"]


# Whose exam it is


def test_a_study_of_another_patient_is_held_and_nothing_of_it_is_shown(store: Store) -> None:
    store.register([new_exam(performed_on=date(2026, 5, 3), imaging_study="ImagingStudy/hers")], MODEL.key, NOW)
    store.save_score(claimed(store), scored())

    store.register([new_exam(patient_id="p2", patient_identifiers=("MRN-2",))], MODEL.key, NOW, urgent=True)

    assert outcome(store, patient_id="p2") == PendingExam("1.2.1", None, BELONGS_TO_ANOTHER, None)
    assert isinstance(outcome(store), ScoredExam)
    assert jobs(store) == []


def test_one_ehr_knows_nothing_of_what_another_registered(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)

    assert store.outcomes("ehr-2", PATIENT, ["1.2.1"], MODEL.key) == []


def test_two_ehrs_may_know_the_same_study_and_each_checks_its_own_patient(store: Store, engine: Engine) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    store.save_score(claimed(store), scored(five_year=0.02))
    store.register([new_exam(ehr="ehr-2", patient_id="x9", patient_identifiers=("OTHER-9",))], MODEL.key, NOW)

    assert isinstance(outcome(store, patient_id="x9", ehr="ehr-2"), PendingExam)
    second = claimed(store)
    assert second.patient_identifiers == ("OTHER-9",)
    store.save_score(second, scored(five_year=0.05))

    theirs = outcome(store, patient_id="x9", ehr="ehr-2")
    assert isinstance(theirs, ScoredExam)
    assert theirs.score.five_year == 0.02
    assert count(engine, Score) == 1


# What an EHR says better later


def test_what_an_ehr_says_later_is_taken_over_and_its_silence_takes_nothing_away(store: Store) -> None:
    store.register([new_exam(patient_identifiers=(), accession_number="A1")], MODEL.key, NOW)
    store.register([new_exam(patient_identifiers=("MRN-1",), dicomweb_root="http://new")], MODEL.key, NOW)
    store.register([new_exam(patient_identifiers=(), imaging_study="ImagingStudy/s1")], MODEL.key, NOW)

    assert outcome(store) == PendingExam("1.2.1", None, None, "ImagingStudy/s1")
    job = claimed(store)
    assert (job.patient_identifiers, job.dicomweb_root) == (("MRN-1",), "http://new")


def test_a_held_exam_is_due_at_once_when_its_ehr_corrects_it(store: Store) -> None:
    store.register([new_exam(patient_identifiers=("TYPO",))], MODEL.key, NOW)
    store.save_failure(claimed(store), "another patient ID", NOW)
    assert store.claim(MODEL.key, NOW, LEASE) is None

    store.register([new_exam()], MODEL.key, NOW)

    assert outcome(store) == PendingExam("1.2.1", None)
    assert claimed(store).patient_identifiers == ("MRN-1",)


def test_a_refused_exam_is_looked_at_again_when_its_date_becomes_known(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    store.save_refusal(claimed(store), refused(), NOW)

    store.register([new_exam(accession_number="A1")], MODEL.key, NOW)
    assert isinstance(outcome(store), RefusedExam)
    store.register([new_exam(performed_on=date(2026, 5, 3))], MODEL.key, NOW)

    assert isinstance(outcome(store), PendingExam)
    store.save_score(claimed(store), scored())
    assert isinstance(outcome(store), ScoredExam)


def test_a_score_whose_patient_could_not_be_compared_is_looked_at_again_once_she_can_be(store: Store) -> None:
    store.register([new_exam(patient_identifiers=())], MODEL.key, NOW)
    store.save_score(claimed(store), scored())

    store.register([new_exam()], MODEL.key, NOW)

    assert isinstance(outcome(store), PendingExam)
    store.save_failure(claimed(store), "another patient ID", NOW)
    assert outcome(store) == PendingExam("1.2.1", None, "another patient ID")


def test_a_score_stays_when_its_patient_merely_gets_one_more_identifier(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    store.save_score(claimed(store), scored())

    store.register([new_exam(patient_identifiers=("MRN-1", "INSURANCE-7"))], MODEL.key, NOW)

    assert isinstance(outcome(store), ScoredExam)


def test_a_worker_that_has_the_old_particulars_cannot_close_a_corrected_exam(store: Store) -> None:
    store.register([new_exam(patient_identifiers=())], MODEL.key, NOW)
    unchecked = claimed(store)
    store.register([new_exam()], MODEL.key, NOW)

    store.save_score(unchecked, scored())

    assert isinstance(outcome(store), PendingExam)
    assert claimed(store).patient_identifiers == ("MRN-1",)


# Claiming


def test_urgent_exams_come_first_then_those_that_waited_longest(store: Store) -> None:
    store.register([new_exam("1.2.1")], MODEL.key, NOW - 2 * MINUTE)
    store.register([new_exam("1.2.2")], MODEL.key, NOW - 3 * MINUTE)
    store.register([new_exam("1.2.3")], MODEL.key, NOW - MINUTE)
    store.register([new_exam("1.2.3")], MODEL.key, NOW, urgent=True)
    store.register([new_exam("1.2.4")], MODEL.key, NOW, urgent=True)
    store.register([new_exam("1.2.4")], MODEL.key, NOW, urgent=False)

    assert [job.study_uid for job in jobs(store)] == ["1.2.3", "1.2.4", "1.2.2", "1.2.1"]


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
                store.outcomes(EHR, f"p{patient}", [exam.study_uid for exam in exams], MODEL.key)

        return call

    def work() -> None:
        for _ in range(15):
            job = store.claim(MODEL.key, NOW, LEASE)
            if job:
                store.save_score(job, scored(job.study_uid))

    all_at_once([*(hook(patient) for patient in range(1, 7)), work, work])
    for job in jobs(store):
        store.save_score(job, scored(job.study_uid))

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
            exam = scored(job.study_uid)
            version = replace(exam.score.model, name=model)
            store.save_score(job, replace(exam, score=replace(exam.score, model=version)))
        if job and step == "refuse":
            store.save_refusal(job, refused(job.study_uid), now)
        if job and step == "fail":
            store.save_failure(job, "a reason", now)

    assert sum(store.count(model, state) for state in ScoringState) == 3
    open_ones = store.count(model, ScoringState.QUEUED)
    later = now + timedelta(days=1)
    assert sum(store.claim(model, later, LEASE) is not None for _ in range(3)) == open_ones


def test_a_moment_without_a_time_zone_is_refused(store: Store) -> None:
    with pytest.raises(Exception, match="an instant without a time zone"):
        store.register([new_exam()], MODEL.key, NOW.replace(tzinfo=None))
