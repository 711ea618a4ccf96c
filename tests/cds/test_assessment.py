"""From references of exams to what is known of them, waiting no longer than allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import pytest

from cds.assessment import NO_STUDY_UID, POLL_S, Assessor, assessment
from cds.store.outcomes import Outcome
from cds.store.store import BELONGS_TO_ANOTHER, Store
from cds.store.tables import ExamSource
from model.domain import Assessment, PendingExam, RefusedExam
from tests.cds.builders import (
    EHR,
    MODEL,
    NOW,
    Clock,
    claimed,
    history,
    join,
    memory_store,
    new_exam,
    patient,
    reference,
    refused,
    scored,
)


@dataclass
class Waiting:
    """Sleeps by a clock that goes on, and lets something happen at each sleep."""

    clock: Clock
    meanwhile: Callable[[int], None] = lambda _: None
    sleeps: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.sleeps.append(seconds)
        self.meanwhile(len(self.sleeps))


def assessor(store: Store, waiting: Waiting) -> Assessor:
    clock = waiting.clock
    return Assessor(store, MODEL, join, clock, waiting.sleep, clock.monotonic_s)


@pytest.fixture
def store() -> Store:
    return memory_store()


@pytest.fixture
def waiting() -> Waiting:
    return Waiting(Clock())


def assess(store: Store, waiting: Waiting, *study_uids: str, wait_s: float = 2.0, urgent: bool = True) -> Assessment:
    exams = history(*(reference(uid, date(2020 + n, 5, 3)) for n, uid in enumerate(study_uids)))
    return assessor(store, waiting).assess(EHR, patient(), exams, wait_s=wait_s, urgent=urgent)


def score_everything(store: Store, five_year: float = 0.021) -> None:
    """What a worker does meanwhile."""
    while job := store.claim(MODEL.key, NOW + timedelta(hours=1), timedelta(hours=9)):
        day, study_uid = job.performed_on or date(2026, 5, 3), job.study_uid or "1.2.77"
        store.save_score(job, scored(study_uid, five_year, day))


def test_stored_scores_answer_at_once(store: Store, waiting: Waiting) -> None:
    assess(store, waiting, "1.2.1", "1.2.2", wait_s=0)
    score_everything(store)

    found = assess(store, waiting, "1.2.1", "1.2.2")

    assert found.trajectory is not None
    assert [exam.study_uid for exam in found.trajectory.points] == ["1.2.1", "1.2.2"]
    assert (found.pending, found.refused, waiting.sleeps) == ((), (), [])


def test_an_exam_without_a_score_is_queued_and_waited_for_until_it_has_one(store: Store, waiting: Waiting) -> None:
    waiting.meanwhile = lambda sleeps: score_everything(store) if sleeps == 3 else None

    found = assess(store, waiting, "1.2.1")

    assert found.trajectory is not None
    assert found.pending == ()
    assert waiting.sleeps == [POLL_S] * 3


@pytest.mark.parametrize("budget_s", [0.12, 2.0])
def test_the_wait_ends_with_its_budget_and_the_exam_is_still_queued(
    store: Store, waiting: Waiting, budget_s: float
) -> None:
    found = assess(store, waiting, "1.2.1", wait_s=budget_s)

    assert found.pending == (PendingExam("1.2.1", date(2020, 5, 3), None, "ImagingStudy/s-1.2.1"),)
    assert sum(waiting.sleeps) == pytest.approx(budget_s)
    assert claimed(store).study_uid == "1.2.1"


def test_a_busy_machine_on_which_each_look_takes_long_does_not_lengthen_the_wait(
    store: Store, waiting: Waiting
) -> None:
    waiting.meanwhile = lambda _: waiting.clock.sleep(POLL_S)

    assess(store, waiting, "1.2.1", wait_s=1.0)

    assert waiting.clock.monotonic_s() == pytest.approx(1.0, abs=2 * POLL_S)


def test_without_a_budget_nobody_waits(store: Store, waiting: Waiting) -> None:
    found = assess(store, waiting, "1.2.1", wait_s=0)

    assert len(found.pending) == 1
    assert waiting.sleeps == []


def test_a_held_exam_is_not_waited_for(store: Store, waiting: Waiting) -> None:
    assess(store, waiting, "1.2.1", wait_s=0)
    store.save_failure(claimed(store), "the archive does not answer", NOW)

    found = assess(store, waiting, "1.2.1")

    assert [exam.problem for exam in found.pending] == ["the archive does not answer"]
    assert waiting.sleeps == []


def test_the_wait_is_for_every_exam_that_is_under_way(store: Store, waiting: Waiting) -> None:
    assess(store, waiting, "1.2.1", "1.2.2", wait_s=0)
    store.save_failure(claimed(store), "a reason", NOW)
    waiting.meanwhile = lambda sleeps: (
        store.save_refusal(claimed(store), refused("1.2.2"), NOW) if sleeps == 2 else None
    )

    found = assess(store, waiting, "1.2.1", "1.2.2")

    assert len(waiting.sleeps) == 2
    assert [exam.study_uid for exam in found.refused] == ["1.2.2"]
    assert [exam.study_uid for exam in found.pending] == ["1.2.1"]


def test_an_exam_without_a_study_uid_is_listed_with_its_reason_and_not_waited_for(
    store: Store, waiting: Waiting
) -> None:
    exams = history(reference(None, date(2026, 5, 3), resource="ImagingStudy/s9"))

    found = assessor(store, waiting).assess(EHR, patient(), exams, wait_s=2, urgent=True)

    assert found.pending == (PendingExam(None, date(2026, 5, 3), NO_STUDY_UID, "ImagingStudy/s9"),)
    assert waiting.sleeps == []


def test_a_patient_without_exams_has_an_empty_assessment(store: Store, waiting: Waiting) -> None:
    assert assess(store, waiting) == Assessment()


def test_another_patients_study_is_held_under_the_date_that_this_patients_ehr_gives(
    store: Store, waiting: Waiting
) -> None:
    hers = history(reference("1.2.1", date(1999, 1, 1), resource="ImagingStudy/hers"))
    assessor(store, waiting).assess(EHR, patient("p2"), hers, wait_s=0, urgent=False)
    score_everything(store)

    found = assess(store, waiting, "1.2.1")

    assert found.trajectory is None
    assert found.pending == (PendingExam("1.2.1", date(2020, 5, 3), BELONGS_TO_ANOTHER, "ImagingStudy/s-1.2.1"),)


def test_a_call_takes_no_study_from_another_patient(store: Store, waiting: Waiting) -> None:
    hers = history(reference("1.2.1"))
    assessor(store, waiting).assess(EHR, patient("p2"), hers, wait_s=0, urgent=False)

    found = assessor(store, waiting).assess(EHR, patient(), hers, wait_s=0, urgent=False)

    assert [exam.problem for exam in found.pending] == [BELONGS_TO_ANOTHER]


def test_what_a_call_says_of_an_exams_images_is_not_compared_with_what_the_ehr_lists(
    store: Store, waiting: Waiting
) -> None:
    store.register([new_exam("1.2.1", images="four")], MODEL.key, NOW)
    score_everything(store)

    exams = history(reference("1.2.1", images="a part of them"))
    found = assessor(store, waiting).assess(EHR, patient(), exams, wait_s=0, urgent=True)

    assert found.trajectory is not None
    assert found.pending == ()


def test_an_exam_without_a_study_uid_is_known_by_its_accession_number(store: Store, waiting: Waiting) -> None:
    exams = history(reference(None, accession_number="A1"))
    assessor(store, waiting).assess(EHR, patient(), exams, wait_s=0, urgent=True)
    store.resolve(claimed(store), "1.2.77", None)
    later = NOW + timedelta(hours=1)
    job = store.claim(MODEL.key, later, timedelta(hours=9))
    assert job is not None
    store.save_score(job, scored("1.2.77"))

    found = assessor(store, waiting).assess(EHR, patient(), exams, wait_s=0, urgent=True)

    assert found.trajectory is not None
    assert found.trajectory.latest.study_uid == "1.2.77"


def test_a_study_on_record_by_its_uid_and_by_its_accession_number_counts_once(store: Store, waiting: Waiting) -> None:
    exams = history(reference("1.2.77"), reference(None, accession_number="A1"))
    assessor(store, waiting).assess(EHR, patient(), exams, wait_s=0, urgent=True)
    while job := store.claim(MODEL.key, NOW, timedelta(hours=9)):
        if job.study_uid is None:
            store.resolve(job, "1.2.77", None)
        store.save_refusal(job, refused("1.2.77"), NOW)

    found = assessor(store, waiting).assess(EHR, patient(), exams, wait_s=0, urgent=True)

    assert [exam.study_uid for exam in found.refused] == ["1.2.77"]


SCORED, REFUSED = scored("1.2.77"), refused("1.2.77")
HELD, QUEUED = (PendingExam("1.2.77", date(2026, 5, 3), problem) for problem in ("no answer", None))
ANOTHERS = PendingExam("1.2.77", None, BELONGS_TO_ANOTHER)


@pytest.mark.parametrize(
    ("on_record", "counts"),
    [
        pytest.param((SCORED, HELD), SCORED, id="scored and held"),
        pytest.param((SCORED, REFUSED), SCORED, id="scored and refused"),
        pytest.param((REFUSED, QUEUED), REFUSED, id="refused and queued"),
        pytest.param((SCORED, ANOTHERS), ANOTHERS, id="scored, and on record for another patient"),
    ],
)
def test_of_a_study_that_is_on_record_twice_what_says_most_counts_in_any_order(
    on_record: tuple[Outcome, ...], counts: Outcome
) -> None:
    found = assessment([counts], join)
    assert assessment(on_record, join) == assessment(on_record[::-1], join) == found


def test_an_exam_that_an_archive_brought_is_part_of_what_is_known(store: Store, waiting: Waiting) -> None:
    store.register([new_exam("1.2.9", source=ExamSource.PACS, performed_on=date(2019, 5, 3))], MODEL.key, NOW)
    assess(store, waiting, "1.2.1", wait_s=0)
    score_everything(store)

    found = assess(store, waiting, "1.2.1")

    assert found.trajectory is not None
    assert [exam.study_uid for exam in found.trajectory.points] == ["1.2.9", "1.2.1"]


def test_what_an_archive_brought_and_the_ehr_has_withdrawn_is_neither_told_nor_waited_for(
    store: Store, waiting: Waiting
) -> None:
    store.register([new_exam(uid, source=ExamSource.PACS) for uid in ("1.2.8", "1.2.9")], MODEL.key, NOW)
    store.save_score(claimed(store), scored("1.2.8", 0.066))
    exams = replace(history(reference("1.2.1")), withdrawn=frozenset({"1.2.8", "1.2.9"}))
    assessor(store, waiting).assess(EHR, patient(), exams, wait_s=0, urgent=True)
    store.save_refusal(claimed(store), refused("1.2.1"), NOW)

    found = assessor(store, waiting).assess(EHR, patient(), exams, wait_s=2, urgent=True)

    assert [exam.study_uid for exam in found.refused] == ["1.2.1"]
    assert (found.trajectory, found.pending, waiting.sleeps) == (None, (), [])


def test_the_hook_and_the_night_say_the_same_of_the_same_exams(store: Store, waiting: Waiting) -> None:
    uids = [f"1.2.{number}" for number in range(6)]
    assess(store, waiting, *uids, wait_s=0, urgent=False)
    for number in range(6):
        job = claimed(store)
        if number % 3 == 0:
            store.save_refusal(job, refused(job.study_uid or ""), NOW)
        if number % 3 == 1:
            store.save_score(job, scored(job.study_uid or "", 0.01 * number, job.performed_on or date.min))

    night = assess(store, waiting, *uids, wait_s=0, urgent=False)
    hook = assess(store, waiting, *uids, wait_s=0.1, urgent=True)

    assert hook == night
    assert isinstance(night.refused[0], RefusedExam)
    assert [len(night.refused), len(night.pending)] == [2, 2]
    assert [exam.study_uid for exam in night.pending] == ["1.2.2", "1.2.5"]


def test_the_threshold_decides_which_exam_is_the_first_over(store: Store, waiting: Waiting) -> None:
    assess(store, waiting, "1.2.1", "1.2.2", wait_s=0)
    store.save_score(claimed(store), scored("1.2.1", 0.017, date(2020, 5, 3)))
    store.save_score(claimed(store), scored("1.2.2", 0.0171, date(2021, 5, 3)))

    line = assess(store, waiting, "1.2.1", "1.2.2").trajectory

    assert line is not None
    assert line.first_over is line.points[1]


def test_exams_of_a_hook_are_scored_before_those_of_the_night(store: Store, waiting: Waiting) -> None:
    assess(store, waiting, "1.2.1", wait_s=0, urgent=False)
    assess(store, waiting, "1.2.2", wait_s=0, urgent=True)

    assert claimed(store).study_uid == "1.2.2"
