"""What is concluded of a patient: in revisions, with its deliveries, taken back where it was not hers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from cds.store.assessments import IMAGES_OF_ANOTHER, AssessmentRecords, Conclusion, Written
from cds.store.outbox import OutboxRecords
from cds.store.outcomes import Outcome
from cds.store.store import Store
from cds.store.tables import Assessment, Destination, Outbox
from model.domain import ScoredExam
from tests.cds.builders import (
    EHR,
    LEASE,
    MODEL,
    NOW,
    PATIENT,
    claimed,
    conclusion,
    new_exam,
    refused,
    scored,
)

BOTH = frozenset({Destination.CHART, Destination.REPORT})
MINUTE = timedelta(minutes=1)


@pytest.fixture
def records(engine: Engine) -> AssessmentRecords:
    return AssessmentRecords(engine)


@pytest.fixture
def outbox(engine: Engine) -> OutboxRecords:
    return OutboxRecords(engine)


def score(store: Store, *study_uids: str) -> None:
    """Exams with their scores on record."""
    store.register([new_exam(uid) for uid in study_uids], MODEL.key, NOW)
    for _ in study_uids:
        job = claimed(store)
        store.save_score(job, scored(job.study_uid or ""))


def assess(
    records: AssessmentRecords,
    concluded: Conclusion | None,
    destinations: Collection[Destination] = (),
    patient_id: str = PATIENT,
) -> bool:
    """Conclude this, whatever is known."""
    return records.assess(EHR, patient_id, MODEL.key, NOW, lambda *_: concluded, destinations)


def revisions(records: AssessmentRecords, patient_id: str = PATIENT) -> list[tuple[str, int, str, bool]]:
    kept = records.of_patient(EHR, patient_id)
    return [(one.study_uid, one.revision, one.status, one.current) for one in kept]


def states(engine: Engine) -> list[tuple[str, str]]:
    with Session(engine) as session:
        rows = session.exec(select(Outbox).order_by(col(Outbox.id))).all()
        return [(row.destination, row.state) for row in rows]


# Who is to be assessed


def test_a_patient_is_due_once_her_exam_is_scored_and_no_more_once_she_is_assessed(
    store: Store, records: AssessmentRecords
) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    assert records.next_patient(MODEL.key) is None
    store.save_score(claimed(store), scored())

    assert records.next_patient(MODEL.key) == (EHR, PATIENT)
    assess(records, conclusion())
    assert records.next_patient(MODEL.key) is None


def test_a_refusal_is_news_too(store: Store, records: AssessmentRecords) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    store.save_refusal(claimed(store), refused(), NOW)

    assert records.next_patient(MODEL.key) == (EHR, PATIENT)


def test_a_patient_waits_while_another_of_her_exams_is_under_way_but_not_for_one_that_is_held(
    store: Store, records: AssessmentRecords
) -> None:
    store.register([new_exam("1.2.1"), new_exam("1.2.2")], MODEL.key, NOW)
    store.save_score(claimed(store), scored("1.2.1"))
    assert records.next_patient(MODEL.key) is None

    store.save_failure(claimed(store), "the archive does not answer", NOW)
    assert records.next_patient(MODEL.key) == (EHR, PATIENT)


def test_one_patients_exam_under_way_keeps_no_other_patient(store: Store, records: AssessmentRecords) -> None:
    score(store, "1.2.1")
    store.register([new_exam("1.2.2", "p2")], MODEL.key, NOW)

    assert records.next_patient(MODEL.key) == (EHR, PATIENT)


def test_an_exam_that_is_scored_again_is_news_again(store: Store, records: AssessmentRecords) -> None:
    score(store, "1.2.1")
    assess(records, conclusion())

    store.reopen_study("1.2.1", NOW)
    store.save_score(claimed(store), scored(scored_at=NOW + MINUTE))

    assert records.next_patient(MODEL.key) == (EHR, PATIENT)


def test_another_model_has_its_own_news(store: Store, records: AssessmentRecords) -> None:
    score(store, "1.2.1")

    assert records.next_patient("another") is None


# What is concluded


def test_the_judge_sees_every_exam_of_the_patient_and_nobody_elses(store: Store, records: AssessmentRecords) -> None:
    score(store, "1.2.1", "1.2.2")
    store.register([new_exam("1.2.3", "p2")], MODEL.key, NOW)
    store.save_score(claimed(store), scored("1.2.3"))
    seen: list[Outcome] = []

    def judge(known: Sequence[Outcome], written: Sequence[Written]) -> None:
        seen.extend(known)

    records.assess(EHR, PATIENT, MODEL.key, NOW, judge, ())

    assert [exam.study_uid for exam in seen] == ["1.2.1", "1.2.2"]
    assert all(isinstance(exam, ScoredExam) for exam in seen)


def test_the_same_conclusion_twice_is_one_revision_and_one_delivery(
    store: Store, records: AssessmentRecords, engine: Engine
) -> None:
    score(store, "1.2.1")

    assert assess(records, conclusion(), BOTH) is True
    assert assess(records, conclusion(), BOTH) is False

    assert revisions(records) == [("1.2.1", 1, "final", True)]
    assert states(engine) == [("chart", "queued"), ("report", "queued")]


def test_another_conclusion_of_the_same_exam_amends_it_and_overtakes_what_is_not_out_yet(
    store: Store, records: AssessmentRecords, engine: Engine
) -> None:
    score(store, "1.2.1")
    assess(records, conclusion(), BOTH)

    assess(records, conclusion(five_year=0.05), BOTH)

    assert revisions(records) == [("1.2.1", 1, "final", False), ("1.2.1", 2, "amended", True)]
    assert records.of_patient(EHR, PATIENT)[-1].resource["status"] == "amended"
    assert states(engine) == [
        ("chart", "overtaken"),
        ("report", "overtaken"),
        ("chart", "queued"),
        ("report", "queued"),
    ]


def test_a_report_is_made_anew_only_where_its_numbers_are_others(
    store: Store, records: AssessmentRecords, engine: Engine
) -> None:
    score(store, "1.2.1")
    first = conclusion()
    assess(records, first, BOTH)

    noted = replace(first, resource={**first.resource, "note": [{"text": "A change."}]})
    assess(records, noted, BOTH)

    assert states(engine) == [("chart", "overtaken"), ("report", "queued"), ("chart", "queued")]


def test_a_score_that_goes_back_to_what_it_was_is_reported_again(
    store: Store, records: AssessmentRecords, outbox: OutboxRecords, engine: Engine
) -> None:
    score(store, "1.2.1")
    for five_year in (0.02, 0.05, 0.02):
        assess(records, conclusion(five_year=five_year), {Destination.REPORT})
        deliver(outbox, None)

    assert states(engine) == [("report", "delivered")] * 3


def test_a_newer_exam_is_concluded_beside_the_older_one_and_is_the_current_one(
    store: Store, records: AssessmentRecords
) -> None:
    score(store, "1.2.1")
    assess(records, conclusion("1.2.1"))
    assess(records, conclusion("1.2.2"))

    assert revisions(records) == [("1.2.1", 1, "final", False), ("1.2.2", 1, "final", True)]
    assert [one.study_uid for one in records.current(MODEL.key)] == ["1.2.2"]


def test_going_back_to_an_older_exam_makes_that_the_current_one_again(store: Store, records: AssessmentRecords) -> None:
    for uid in ("1.2.1", "1.2.2", "1.2.1"):
        assess(records, conclusion(uid))

    assert revisions(records) == [("1.2.1", 1, "final", True), ("1.2.2", 1, "final", False)]


def test_of_a_patient_of_whom_nothing_can_be_concluded_nothing_is_current(
    store: Store, records: AssessmentRecords
) -> None:
    assess(records, conclusion())
    assess(records, None)

    assert list(records.current(MODEL.key)) == []


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from((0.01, 0.02))), min_size=1, max_size=8))
def test_whatever_is_concluded_in_whatever_order_one_is_current_and_revisions_have_no_gap(
    records: AssessmentRecords, steps: list[tuple[str, float]]
) -> None:
    patient = f"p{abs(hash(tuple(steps)))}"
    for exam, five_year in steps:
        assess(records, conclusion(f"{patient}.{exam}", five_year), patient_id=patient)

    kept = records.of_patient(EHR, patient)
    (current,) = [one for one in kept if one.current]
    assert (current.study_uid, current.five_year) == (f"{patient}.{steps[-1][0]}", steps[-1][1])
    for exam in {one.identifier for one in kept}:
        numbers = [one.revision for one in kept if one.identifier == exam]
        assert numbers == list(range(1, len(numbers) + 1))


# What is in the chart already


def deliver(outbox: OutboxRecords, reference: str | None) -> None:
    delivery = outbox.claim(NOW, LEASE)
    assert delivery is not None
    outbox.delivered(delivery, reference, NOW)


def test_the_judge_is_told_what_is_in_the_chart_already(
    store: Store, records: AssessmentRecords, outbox: OutboxRecords
) -> None:
    score(store, "1.2.1")
    assess(records, conclusion("1.2.1", performed_on=date(2025, 5, 3)), {Destination.CHART})
    deliver(outbox, "RiskAssessment/7")
    told: list[Written] = []

    def judge(known: Sequence[Outcome], written: Sequence[Written]) -> None:
        told.extend(written)

    records.assess(EHR, PATIENT, MODEL.key, NOW, judge, ())

    assert told == [Written("assessment of 1.2.1", date(2025, 5, 3), "RiskAssessment/7")]


def test_a_report_in_the_archive_is_not_taken_for_something_in_the_chart(
    store: Store, records: AssessmentRecords, outbox: OutboxRecords
) -> None:
    score(store, "1.2.1")
    assess(records, conclusion("1.2.1", performed_on=date(2025, 5, 3)), {Destination.REPORT})
    deliver(outbox, "2.25.7")
    told: list[Written] = []

    def judge(known: Sequence[Outcome], written: Sequence[Written]) -> None:
        told.extend(written)

    records.assess(EHR, PATIENT, MODEL.key, NOW, judge, ())

    assert told == []


# What is not hers


def test_of_a_study_that_the_ehr_no_longer_lists_as_hers_everything_is_taken_back(
    store: Store, records: AssessmentRecords, outbox: OutboxRecords, engine: Engine
) -> None:
    score(store, "1.2.1")
    assess(records, conclusion(), BOTH)
    for reference in ("RiskAssessment/7", None):
        deliver(outbox, reference)

    store.unlist(EHR, PATIENT, [], NOW)

    assert revisions(records) == [("1.2.1", 1, "final", False), ("1.2.1", 2, "entered-in-error", False)]
    assert states(engine)[-1] == ("chart", "queued")
    delivery = outbox.claim(NOW, LEASE)
    assert delivery is not None
    assert delivery.resource["status"] == "entered-in-error"
    assert list(records.current(MODEL.key)) == []


def test_of_an_exam_that_is_refused_with_its_new_images_the_assessment_is_taken_back(
    store: Store, records: AssessmentRecords, engine: Engine
) -> None:
    score(store, "1.2.1", "1.2.2")
    assess(records, conclusion("1.2.1"), BOTH)
    assess(records, conclusion("1.2.2"), BOTH)
    store.reopen_study("1.2.2", NOW)
    store.save_refusal(claimed(store), refused("1.2.2"), NOW + MINUTE)

    assess(records, conclusion("1.2.1"), BOTH)

    assert revisions(records) == [
        ("1.2.1", 1, "final", True),
        ("1.2.2", 1, "final", False),
        ("1.2.2", 2, "entered-in-error", False),
    ]
    assert states(engine)[-1] == ("chart", "queued")
    assess(records, conclusion("1.2.1"), BOTH)
    assert len(revisions(records)) == 3


def hold_again(store: Store, study_uid: str, problem: str, now: datetime = NOW) -> None:
    """Queue an exam once more, and have it held."""
    store.reopen_study(study_uid, now)
    store.save_failure(claimed(store, now), problem, now)


def test_of_an_exam_whose_images_turn_out_to_be_another_womans_the_assessment_is_taken_back(
    store: Store, records: AssessmentRecords, outbox: OutboxRecords, engine: Engine
) -> None:
    score(store, "1.2.1", "1.2.2")
    for uid in ("1.2.1", "1.2.2"):
        assess(records, conclusion(uid), {Destination.CHART})
        deliver(outbox, f"RiskAssessment/{uid}")

    hold_again(store, "1.2.2", IMAGES_OF_ANOTHER)

    assert revisions(records)[-2:] == [("1.2.2", 1, "final", False), ("1.2.2", 2, "entered-in-error", False)]
    assert states(engine)[-1] == ("chart", "queued")
    assert records.next_patient(MODEL.key) == (EHR, PATIENT)  # for what her other exam says
    assess(records, conclusion("1.2.1"), {Destination.CHART})
    assert [one.study_uid for one in records.current(MODEL.key)] == ["1.2.1"]
    assert records.next_patient(MODEL.key) is None


def test_what_is_taken_back_is_taken_back_once_however_often_the_exam_is_held(
    store: Store, records: AssessmentRecords, engine: Engine
) -> None:
    score(store, "1.2.1", "1.2.2")
    assess(records, conclusion("1.2.2"), {Destination.CHART})
    hold_again(store, "1.2.2", IMAGES_OF_ANOTHER)
    assess(records, conclusion("1.2.1"))
    before = (revisions(records), states(engine))

    later = NOW + timedelta(hours=1)
    store.save_failure(claimed(store, later), IMAGES_OF_ANOTHER, later)

    assert (revisions(records), states(engine)) == before
    assert records.next_patient(MODEL.key) is None


def test_once_the_images_are_hers_again_the_assessment_is_amended_back(
    store: Store, records: AssessmentRecords
) -> None:
    score(store, "1.2.1")
    assess(records, conclusion(), {Destination.CHART})
    hold_again(store, "1.2.1", IMAGES_OF_ANOTHER)
    later = NOW + timedelta(hours=1)
    store.save_score(claimed(store, later), scored())

    assert records.next_patient(MODEL.key) == (EHR, PATIENT)
    assess(records, conclusion(), {Destination.CHART})
    assert [(status, current) for _, _, status, current in revisions(records)] == [
        ("final", False),
        ("entered-in-error", False),
        ("amended", True),
    ]


@pytest.mark.parametrize("problem", ["the archive does not answer", "the archive does not have the study"])
def test_an_exam_that_only_has_to_wait_keeps_its_assessment(
    store: Store, records: AssessmentRecords, engine: Engine, problem: str
) -> None:
    score(store, "1.2.1", "1.2.2")
    assess(records, conclusion("1.2.2"), {Destination.CHART})

    hold_again(store, "1.2.2", problem)

    assert records.next_patient(MODEL.key) is None
    assert [one.study_uid for one in records.current(MODEL.key)] == ["1.2.2"]
    assert states(engine) == [("chart", "queued")]


def test_a_late_workers_word_on_whose_images_they_are_takes_nothing_back(
    store: Store, records: AssessmentRecords
) -> None:
    score(store, "1.2.1")
    assess(records, conclusion())
    store.reopen_study("1.2.1", NOW)
    late = claimed(store)
    claimed(store, NOW + LEASE)

    store.save_failure(late, IMAGES_OF_ANOTHER, NOW + LEASE)

    assert revisions(records) == [("1.2.1", 1, "final", True)]


def test_a_report_that_waits_is_not_sent_of_what_was_taken_back_and_comes_once_it_stands_again(
    store: Store, records: AssessmentRecords, engine: Engine
) -> None:
    score(store, "1.2.1")
    assess(records, conclusion(), {Destination.REPORT})
    store.unlist(EHR, PATIENT, [], NOW)
    assert states(engine) == [("report", "overtaken")]

    store.register([new_exam()], MODEL.key, NOW)
    assess(records, conclusion(), {Destination.REPORT})
    assert states(engine) == [("report", "overtaken"), ("report", "queued")]


def test_a_report_that_arrived_while_it_was_overtaken_is_not_sent_again(
    store: Store, records: AssessmentRecords, outbox: OutboxRecords, engine: Engine
) -> None:
    score(store, "1.2.1")
    assess(records, conclusion(), {Destination.REPORT})
    delivery = outbox.claim(NOW, LEASE)
    assert delivery is not None
    store.unlist(EHR, PATIENT, [], NOW)
    outbox.delivered(delivery, "2.25.7", NOW)

    store.register([new_exam()], MODEL.key, NOW)
    assess(records, conclusion(), {Destination.REPORT})

    assert states(engine) == [("report", "overtaken")]


def test_what_another_model_concluded_of_a_refused_exam_stands(store: Store, records: AssessmentRecords) -> None:
    score(store, "1.2.1")
    assess(records, conclusion())
    store.register([new_exam()], "another", NOW)
    job = store.claim("another", NOW, LEASE)
    assert job is not None
    store.save_refusal(job, refused(), NOW)

    records.assess(EHR, PATIENT, "another", NOW, lambda *_: None, ())

    assert revisions(records) == [("1.2.1", 1, "final", True)]


def test_what_was_never_meant_for_a_chart_is_taken_back_in_the_store_alone(
    store: Store, records: AssessmentRecords, engine: Engine
) -> None:
    score(store, "1.2.1")
    assess(records, conclusion())

    store.unlist(EHR, PATIENT, [], NOW)

    assert revisions(records)[-1][2] == "entered-in-error"
    assert states(engine) == []


def test_what_waits_for_its_delivery_is_not_delivered_after_it_was_taken_back(
    store: Store, records: AssessmentRecords, outbox: OutboxRecords, engine: Engine
) -> None:
    score(store, "1.2.1")
    assess(records, conclusion(), {Destination.CHART})

    store.unlist(EHR, PATIENT, [], NOW)

    assert states(engine) == [("chart", "overtaken"), ("chart", "queued")]


def test_a_study_taken_back_and_listed_again_is_concluded_as_amended(store: Store, records: AssessmentRecords) -> None:
    score(store, "1.2.1")
    assess(records, conclusion())
    store.unlist(EHR, PATIENT, [], NOW)
    store.register([new_exam()], MODEL.key, NOW)

    assert records.next_patient(MODEL.key) == (EHR, PATIENT)
    assess(records, conclusion())

    assert [revision[2] for revision in revisions(records)] == ["final", "entered-in-error", "amended"]


def test_an_assessment_and_its_delivery_are_there_together_or_not_at_all(
    store: Store, records: AssessmentRecords, engine: Engine
) -> None:
    def judge(known: Sequence[Outcome], written: Sequence[Written]) -> Conclusion:
        raise RuntimeError("ended in the middle")

    score(store, "1.2.1")
    with pytest.raises(RuntimeError):
        records.assess(EHR, PATIENT, MODEL.key, NOW, judge, BOTH)

    assert (revisions(records), states(engine)) == ([], [])
    assert records.next_patient(MODEL.key) == (EHR, PATIENT)


def test_what_is_over_another_patients_head_is_not_hers(records: AssessmentRecords, engine: Engine) -> None:
    assess(records, conclusion("1.2.1"))
    assess(records, conclusion("1.2.2", 0.05), patient_id="p2")

    assert [(one.patient_id, one.five_year) for one in records.current(MODEL.key)] == [("p2", 0.05), (PATIENT, 0.021)]
    with Session(engine) as session:
        assert len(session.exec(select(Assessment)).all()) == 2
    assert states(engine) == []


def test_a_study_that_is_withdrawn_while_its_patient_is_assessed_leaves_nothing_behind(
    store: Store, records: AssessmentRecords, engine: Engine
) -> None:
    score(store, "1.2.1")
    withdrawn: list[Future[int]] = []

    with ThreadPoolExecutor(1) as another:

        def judge(known: Sequence[Outcome], written: Sequence[Written]) -> Conclusion:
            withdrawn.append(another.submit(store.unlist, EHR, PATIENT, [], NOW))
            wait(withdrawn, timeout=0.3)  # it has to wait for us, so this runs out
            return conclusion()

        records.assess(EHR, PATIENT, MODEL.key, NOW, judge, {Destination.CHART})
        assert withdrawn[0].result(timeout=20) == 1

    assert [(kept.status, kept.current) for kept in records.of_patient(EHR, PATIENT)] == [
        ("final", False),
        ("entered-in-error", False),
    ]
    assert states(engine) == [("chart", "overtaken"), ("chart", "queued")]


# What the site did not want written when it was concluded


def written_after_a_pause(
    store: Store, records: AssessmentRecords, outbox: OutboxRecords, now_concluded: Conclusion
) -> list[int]:
    """The first conclusion goes everywhere, another one nowhere, and then the site writes again; who is due then."""
    score(store, "1.2.1")
    assess(records, conclusion(), BOTH)
    for reference in ("RiskAssessment/7", "2.25.7"):
        deliver(outbox, reference)
    assess(records, now_concluded)
    return [records.catch_up(EHR, MODEL.key, destination) for destination in sorted(BOTH)]


def test_what_changed_while_nothing_was_written_is_written_once_the_site_writes_again(
    store: Store, records: AssessmentRecords, outbox: OutboxRecords, engine: Engine
) -> None:
    changed = conclusion(five_year=0.05)
    assert written_after_a_pause(store, records, outbox, changed) == [1, 1]
    assert records.next_patient(MODEL.key) == (EHR, PATIENT)

    for _ in range(2):
        assert assess(records, changed, BOTH) is False

    assert states(engine)[2:] == [("chart", "queued"), ("report", "queued")]
    assert [records.catch_up(EHR, MODEL.key, destination) for destination in sorted(BOTH)] == [0, 0]


def test_a_change_of_words_while_nothing_was_written_is_for_the_chart_alone(
    store: Store, records: AssessmentRecords, outbox: OutboxRecords, engine: Engine
) -> None:
    first = conclusion()
    noted = replace(first, resource={**first.resource, "note": [{"text": "A change."}]})

    assert written_after_a_pause(store, records, outbox, noted) == [1, 0]
    assess(records, noted, BOTH)

    assert states(engine)[2:] == [("chart", "queued")]


def test_what_still_waited_when_the_site_stopped_writing_does_not_go_out_after_what_is_newer(
    store: Store, records: AssessmentRecords, engine: Engine
) -> None:
    score(store, "1.2.1")
    assess(records, conclusion(), {Destination.CHART})
    assess(records, conclusion(five_year=0.05))

    assess(records, conclusion(five_year=0.05), {Destination.CHART})

    assert states(engine) == [("chart", "overtaken"), ("chart", "queued")]


def test_those_who_are_not_told_yet_are_of_this_ehr_and_model_alone(store: Store, records: AssessmentRecords) -> None:
    score(store, "1.2.1")
    assess(records, conclusion())

    assert records.catch_up("ehr-2", MODEL.key, Destination.CHART) == 0
    assert records.catch_up(EHR, "another", Destination.CHART) == 0
    assert records.catch_up(EHR, MODEL.key, Destination.CHART) == 1


def test_a_revision_that_needs_no_new_report_is_not_caught_up_on(
    store: Store, records: AssessmentRecords, engine: Engine
) -> None:
    score(store, "1.2.1")
    first = conclusion()
    assess(records, first, BOTH)
    assess(records, replace(first, resource={**first.resource, "note": [{"text": "A change."}]}), BOTH)
    before = states(engine)

    for destination in BOTH:
        assert records.catch_up(EHR, MODEL.key, destination) == 0

    assert states(engine) == before
