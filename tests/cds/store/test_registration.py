"""Remembering exams: once each, for one patient of each EHR, with what that EHR says best."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from cds.store.store import BELONGS_TO_ANOTHER, NewExam, ScoringJob, Store
from cds.store.tables import Exam, ExamSource, Score, Scoring
from model.domain import PendingExam, RefusedExam, ScoredExam
from tests.cds.builders import EHR, LEASE, MODEL, NOW, PATIENT, claimed, new_exam, refused, scored
from tests.cds.store.asking import all_at_once, count, jobs, outcome

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
OTHER_MODEL = replace(MODEL, calibration="c2")
# The store of one test serves all examples: each takes a model of its own.
NUMBERS = itertools.count()
PROPERTY = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def claimed_by(store: Store, model: str) -> ScoringJob:
    """The next job for a model, which must be there."""
    job = store.claim(model, NOW, LEASE)
    assert job is not None
    return job


# Registering


def test_a_registered_exam_is_queued_with_all_that_its_ehr_said(store: Store) -> None:
    day = date(2026, 5, 3)
    exam = new_exam(accession_number="A1", imaging_study="ImagingStudy/s1", performed_on=day, dicomweb_root="http://p")

    store.register([exam], MODEL.key, NOW)

    assert outcome(store) == PendingExam("1.2.1", day, None, "ImagingStudy/s1")
    assert claimed(store) == ScoringJob(1, EHR, PATIENT, "1.2.1", "A1", "http://p", day, 1, ("MRN-1",))


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

    assert sorted(job.study_uid or "" for job in jobs(store, model)) == sorted(
        {f"1.3.{e}" for call in calls for e in call}
    )


def test_many_threads_that_register_the_same_exams_make_each_once(store: Store, engine: Engine) -> None:
    exams = [new_exam(f"1.2.{number}") for number in range(12)]
    orders = [exams, exams[::-1], exams[6:] + exams[:6]] * 2

    def register(order: list[NewExam]) -> Callable[[], int]:
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

    assert store.outcomes("ehr-2", PATIENT, ["1.2.1"], MODEL.key) == {}


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


def her_ehr_lists(store: Store, *keys: str, patient_id: str = PATIENT) -> None:
    """What the night does once it has read a patient's whole list."""
    store.unlist(EHR, patient_id, keys, NOW)


def test_a_study_that_the_ehr_no_longer_lists_under_one_patient_is_moved_to_another(store: Store) -> None:
    store.register([new_exam(accession_number="A1", performed_on=date(2026, 5, 3))], MODEL.key, NOW)
    store.save_score(claimed(store), scored(five_year=0.02))
    her_ehr_lists(store)

    store.register([new_exam(patient_id="p2", patient_identifiers=("MRN-2",))], MODEL.key, NOW)

    assert outcome(store, patient_id="p2") == PendingExam("1.2.1", None, None, None)
    assert outcome(store) == PendingExam("1.2.1", None, BELONGS_TO_ANOTHER, None)
    job = claimed(store)
    assert (job.patient_identifiers, job.performed_on) == (("MRN-2",), None)
    store.save_score(job, scored(five_year=0.5))
    moved = outcome(store, patient_id="p2")
    assert isinstance(moved, ScoredExam)
    assert moved.score.five_year == 0.02


def test_a_moved_study_shows_no_score_before_its_images_were_compared_with_its_new_patient(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    late = claimed(store)
    her_ehr_lists(store)
    store.register([new_exam(patient_id="p2", patient_identifiers=("MRN-2",))], MODEL.key, NOW)

    store.save_score(late, scored())

    assert isinstance(outcome(store, patient_id="p2"), PendingExam)


def test_a_refused_or_held_study_is_queued_again_when_it_is_moved(store: Store) -> None:
    store.register([new_exam("1.2.1"), new_exam("1.2.2")], MODEL.key, NOW)
    store.save_refusal(claimed(store), refused("1.2.1"), NOW)
    store.save_failure(claimed(store), "another patient ID", NOW)
    her_ehr_lists(store)

    store.register([new_exam(uid, "p2") for uid in ("1.2.1", "1.2.2")], MODEL.key, NOW)

    assert [job.study_uid for job in jobs(store)] == ["1.2.1", "1.2.2"]
    assert outcome(store, "1.2.2", "p2") == PendingExam("1.2.2", None)


def test_of_a_list_that_holds_an_exam_still_nothing_changes(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    store.save_score(claimed(store), scored())

    assert store.unlist(EHR, PATIENT, ["1.2.1"], NOW) == 0
    assert store.unlist(EHR, "p2", [], NOW) == 0
    assert isinstance(outcome(store), ScoredExam)


def test_an_exam_that_the_ehr_no_longer_lists_shows_nothing_until_it_lists_it_again(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    store.save_score(claimed(store), scored())

    her_ehr_lists(store)
    assert outcome(store) == PendingExam("1.2.1", None, BELONGS_TO_ANOTHER)

    store.register([new_exam()], MODEL.key, NOW)
    assert isinstance(outcome(store), ScoredExam)


def test_an_exam_that_is_no_longer_listed_is_not_tried_any_more_until_it_is_listed_again(store: Store) -> None:
    store.register([new_exam("1.2.1"), new_exam("1.2.2")], MODEL.key, NOW)
    store.save_failure(claimed(store), "the archive does not have the study", NOW)
    late = claimed(store)
    her_ehr_lists(store)

    store.save_failure(late, "the archive does not have the study", NOW)
    assert (store.queued(MODEL.key), jobs(store)) == ({}, [])
    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    assert [job.study_uid for job in jobs(store)] == ["1.2.1"]


# What archives bring


def brought(study_uid: str, patient_id: str = PATIENT) -> NewExam:
    """An exam that an archive lists by the patient's ID."""
    return new_exam(study_uid, patient_id, source=ExamSource.PACS)


def test_what_comes_of_an_exam_that_is_no_longer_listed_is_never_taken_for_the_next_ones(store: Store) -> None:
    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    first = claimed(store)
    store.unlist(EHR, PATIENT, [], NOW)
    store.register([new_exam("1.2.2", "p2")], MODEL.key, NOW)
    second = claimed(store)

    store.save_score(first, scored("1.2.1"))

    assert outcome(store, "1.2.2", "p2") == PendingExam("1.2.2", None)
    store.save_score(second, scored("1.2.2"))
    assert isinstance(outcome(store, "1.2.2", "p2"), ScoredExam)


def test_an_exam_that_an_archive_brought_is_told_with_those_that_are_asked_for(store: Store) -> None:
    store.register([new_exam("1.2.1"), brought("1.2.2"), brought("1.2.3", "p2")], MODEL.key, NOW)

    assert sorted(store.outcomes(EHR, PATIENT, ["1.2.1"], MODEL.key)) == ["1.2.1", "1.2.2"]


def test_an_archive_does_not_bring_back_what_the_ehr_has_withdrawn(store: Store) -> None:
    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    her_ehr_lists(store)

    for patient_id in (PATIENT, "p2"):
        assert store.register([brought("1.2.1", patient_id)], MODEL.key, NOW) == 0

    assert store.outcomes(EHR, PATIENT, [], MODEL.key) == {}
    assert store.outcomes(EHR, "p2", [], MODEL.key) == {}


def test_an_archive_neither_keeps_nor_brings_what_the_ehr_lists_as_withdrawn(store: Store) -> None:
    store.register([new_exam("1.2.1"), brought("1.2.2")], MODEL.key, NOW)
    for _ in range(2):
        store.save_score(job := claimed(store), scored(job.study_uid or ""))

    store.withdraw(EHR, PATIENT, ["1.2.2", "1.2.3"], NOW)
    assert store.unlist(EHR, PATIENT, ["1.2.1"], NOW, gone=["1.2.2", "1.2.3"]) == 1
    store.register([brought("1.2.2"), brought("1.2.3")], MODEL.key, NOW)

    assert sorted(store.outcomes(EHR, PATIENT, ["1.2.1"], MODEL.key)) == ["1.2.1"]
    assert jobs(store) == []


def test_what_was_withdrawn_comes_back_once_the_ehr_lists_it_as_hers_or_as_anothers(store: Store) -> None:
    store.withdraw(EHR, PATIENT, ["1.2.1", "1.2.2"], NOW)

    store.register([new_exam("1.2.1"), new_exam("1.2.2", "p2")], MODEL.key, NOW)

    assert {(job.study_uid, job.patient_id) for job in jobs(store)} == {("1.2.1", PATIENT), ("1.2.2", "p2")}


def test_an_exam_of_an_archive_is_the_ehrs_once_its_list_has_it(store: Store) -> None:
    store.register([brought("1.2.1")], MODEL.key, NOW)
    her_ehr_lists(store)
    assert list(store.outcomes(EHR, PATIENT, [], MODEL.key)) == ["1.2.1"]

    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    her_ehr_lists(store)

    assert store.outcomes(EHR, PATIENT, [], MODEL.key) == {}


# Images that come late or are replaced


def test_an_archive_adds_to_what_the_ehr_says_of_an_exam_and_corrects_nothing_of_it(store: Store) -> None:
    store.register([new_exam("1.2.1", performed_on=date(2026, 5, 4))], MODEL.key, NOW)
    store.save_refusal(claimed(store), refused(), NOW)
    of_archive = replace(brought("1.2.1"), performed_on=date(2026, 5, 3))

    for _ in range(2):
        store.register([of_archive], MODEL.key, NOW)
    assert store.claim(MODEL.key, NOW, LEASE) is None

    store.register([replace(of_archive, dicomweb_root="https://archive.example/dicom-web")], MODEL.key, NOW)
    again = claimed(store)
    assert (again.performed_on, again.dicomweb_root) == (date(2026, 5, 4), "https://archive.example/dicom-web")


def test_a_scored_exam_whose_listed_images_change_is_scored_again(store: Store) -> None:
    store.register([new_exam(images="four")], MODEL.key, NOW)
    store.save_score(claimed(store), scored())

    store.register([new_exam(images="four")], MODEL.key, NOW)
    assert isinstance(outcome(store), ScoredExam)
    store.register([new_exam(images="five")], MODEL.key, NOW)

    assert outcome(store) == PendingExam("1.2.1", None)
    assert claimed(store).study_uid == "1.2.1"


def test_that_images_are_listed_at_all_is_no_change_of_them(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    store.save_score(claimed(store), scored())

    store.register([new_exam(images="four")], MODEL.key, NOW)
    store.register([new_exam()], MODEL.key, NOW)

    assert isinstance(outcome(store), ScoredExam)


def test_a_study_that_changed_in_the_archive_is_scored_again_for_every_ehr_and_model(store: Store) -> None:
    for model in (MODEL.key, OTHER_MODEL.key):
        store.register([new_exam(), new_exam(ehr="ehr-2")], model, NOW)
        for job in jobs(store, model):
            store.save_refusal(job, refused(), NOW)

    assert store.reopen_study("1.2.1", NOW) == 4
    assert [len(jobs(store, model)) for model in (MODEL.key, OTHER_MODEL.key)] == [2, 2]


# Exams without a study UID


def test_an_exam_known_by_its_accession_number_alone_is_queued_with_it(store: Store) -> None:
    nameless = replace(new_exam("accession:A1"), study_uid=None, accession_number="A1")
    store.register([nameless], MODEL.key, NOW)

    job = claimed(store)
    assert (job.study_uid, job.accession_number) == (None, "A1")
    store.resolve(job, "1.2.7", "http://pacs")
    store.save_score(replace(job, study_uid="1.2.7"), scored("1.2.7"))

    kept = outcome(store, "accession:A1")
    assert isinstance(kept, ScoredExam)
    assert kept.study_uid == "1.2.7"


# What an EHR says better later


@PROPERTY
@given(said=st.lists(st.permutations(["MRN-1", "INSURANCE-7", "OLD-3", "OLD-3"]), min_size=2, max_size=4))
def test_the_order_in_which_an_ehr_lists_identifiers_is_no_correction(store: Store, said: list[list[str]]) -> None:
    model = f"model-{next(NUMBERS)}"
    uid = f"1.5.{next(NUMBERS)}"
    store.register([new_exam(uid, patient_identifiers=tuple(said[0]))], model, NOW)
    store.save_refusal(claimed_by(store, model), refused(uid), NOW)

    for identifiers in said[1:]:
        store.register([new_exam(uid, patient_identifiers=tuple(identifiers))], model, NOW, urgent=True)

    assert isinstance(outcome(store, uid, model=model), RefusedExam)


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


def test_by_an_identifier_that_the_ehr_takes_back_no_archive_keeps_or_brings_anything(store: Store) -> None:
    store.register([new_exam("1.2.1", patient_identifiers=("MRN-1", "MRN-2"))], MODEL.key, NOW)
    store.register([replace(brought("1.2.7"), patient_identifiers=("MRN-1", "MRN-2"))], MODEL.key, NOW)
    for _ in range(2):
        store.save_score(job := claimed(store), scored(job.study_uid or ""))

    store.identify(EHR, PATIENT, ["MRN-1"], NOW)
    store.register([new_exam("1.2.1", patient_identifiers=("MRN-1",))], MODEL.key, NOW)

    assert store.patient_identifiers(EHR, PATIENT) == ("MRN-1",)
    assert [(job.study_uid, job.patient_identifiers) for job in jobs(store)] == [("1.2.7", ("MRN-1",))]


def test_one_identifier_more_leaves_what_an_archive_brought_as_it_is(store: Store) -> None:
    store.register([new_exam("1.2.1"), brought("1.2.7")], MODEL.key, NOW)
    for _ in range(2):
        store.save_score(job := claimed(store), scored(job.study_uid or ""))

    store.identify(EHR, PATIENT, ["MRN-1", "MRN-2"], NOW)

    assert jobs(store) == []


def test_a_call_may_name_further_identifiers_and_takes_none_away(store: Store) -> None:
    store.register([new_exam("1.2.1", patient_identifiers=("MRN-1", "EPI-1"))], MODEL.key, NOW)
    store.save_refusal(claimed(store), refused(), NOW)

    for _ in range(2):
        store.register([new_exam("1.2.1", patient_identifiers=("MRN-1",), of_call=True)], MODEL.key, NOW)
    assert jobs(store) == []

    store.register([new_exam("1.2.1", patient_identifiers=("MRN-2",), of_call=True)], MODEL.key, NOW)
    assert claimed(store).patient_identifiers == ("EPI-1", "MRN-1", "MRN-2")


def test_a_worker_that_has_the_old_particulars_cannot_close_a_corrected_exam(store: Store) -> None:
    store.register([new_exam(patient_identifiers=())], MODEL.key, NOW)
    unchecked = claimed(store)
    store.register([new_exam()], MODEL.key, NOW)

    store.save_score(unchecked, scored())

    assert isinstance(outcome(store), PendingExam)
    assert claimed(store).patient_identifiers == ("MRN-1",)


# Pulling forward


def fail(store: Store, times: int) -> datetime:
    """Have the exam fail so often, each time when it is due; the moment of the last failure."""
    now = NOW
    for attempt in range(times):
        store.save_failure(claimed(store, now), "the archive does not answer", now)
        now += MINUTE * (1 << attempt)
    return now - MINUTE * (1 << times - 1)


def test_a_held_exam_that_a_hook_asks_for_is_tried_at_once_and_keeps_its_reason_until_then(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    now = fail(store, times=5) + MINUTE
    assert store.claim(MODEL.key, now, LEASE) is None

    store.register([new_exam()], MODEL.key, now, urgent=True)

    assert outcome(store) == PendingExam("1.2.1", None, "the archive does not answer")
    assert claimed(store, now).attempts == 6


def test_a_held_exam_is_tried_no_more_than_once_a_minute_however_many_ask_for_it(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    start = fail(store, times=5)
    tried = []
    for second in range(0, 300, 5):
        now = start + second * SECOND
        store.register([new_exam()], MODEL.key, now, urgent=True)
        job = store.claim(MODEL.key, now, LEASE)
        if job:
            store.save_failure(job, "the archive does not answer", now)
            tried.append(second)

    assert tried == [60, 120, 180, 240]


def test_the_night_does_not_pull_a_held_exam_forward(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    now = fail(store, times=5) + MINUTE

    store.register([new_exam()], MODEL.key, now)

    assert store.claim(MODEL.key, now, LEASE) is None


def test_an_exam_that_a_worker_has_is_left_to_it(store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    now = fail(store, times=5) + 16 * MINUTE
    claimed(store, now)

    store.register([new_exam()], MODEL.key, now + 5 * MINUTE, urgent=True)
    store.make_due(MODEL.key, now + 5 * MINUTE)

    assert store.claim(MODEL.key, now + 5 * MINUTE, LEASE) is None
