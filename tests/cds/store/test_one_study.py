"""One study that the EHR knows by its accession number and an archive, or later the EHR, by its UID."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from cds.store.assessments import AssessmentRecords
from cds.store.store import BELONGS_TO_ANOTHER, NewExam, Store
from cds.store.tables import Destination, Exam, ExamSource
from model.domain import PendingExam, ScoredExam
from tests.cds.builders import EHR, MODEL, NOW, PATIENT, claimed, conclusion, new_exam, refused, scored
from tests.cds.store.asking import all_at_once, count, jobs, outcome

A1 = "accession:A1"


def by_accession(patient_id: str = PATIENT) -> NewExam:
    """An exam of which the EHR says the accession number only."""
    return replace(new_exam(A1, patient_id), study_uid=None, accession_number="A1")


def by_uid(study_uid: str = "1.2.1", patient_id: str = PATIENT) -> NewExam:
    """The same of which it says the UID as well."""
    return new_exam(study_uid, patient_id, accession_number="A1")


def brought(study_uid: str = "1.2.1", patient_id: str = PATIENT) -> NewExam:
    """The same as an archive lists it."""
    return replace(by_uid(study_uid, patient_id), source=ExamSource.PACS)


def find(store: Store) -> None:
    """Find the study under each of its keys and score it."""
    for job in jobs(store):
        store.resolve(job, "1.2.1", "http://pacs")
        store.save_score(replace(job, study_uid="1.2.1"), scored("1.2.1"))


def statuses(engine: Engine) -> list[str]:
    """What her chart was told, in order."""
    return [one.status for one in AssessmentRecords(engine).of_patient(EHR, PATIENT)]


def test_an_exam_whose_uid_the_ehr_adds_keeps_its_score_and_what_was_concluded_of_it(
    store: Store, engine: Engine
) -> None:
    store.register([by_accession()], MODEL.key, NOW)
    find(store)
    said = conclusion("1.2.1")
    AssessmentRecords(engine).assess(EHR, PATIENT, MODEL.key, NOW, lambda *_: said, [Destination.CHART])

    assert store.register([by_uid()], MODEL.key, NOW) == 0
    store.unlist(EHR, PATIENT, ["1.2.1"], NOW)

    assert isinstance(outcome(store), ScoredExam)
    assert (statuses(engine), jobs(store)) == (["final"], [])


@pytest.mark.parametrize("end", ["held", "refused"])
def test_one_that_could_not_be_found_is_looked_for_by_its_uid_at_once(store: Store, end: str) -> None:
    store.register([by_accession()], MODEL.key, NOW)
    if end == "held":
        store.save_failure(claimed(store), "no archive has it", NOW)
    else:
        store.save_refusal(claimed(store), refused(), NOW)

    store.register([by_uid()], MODEL.key, NOW)

    assert [job.study_uid for job in jobs(store)] == ["1.2.1"]


def test_hooks_that_say_the_uid_at_the_same_time_make_one_exam_of_it(store: Store, engine: Engine) -> None:
    store.register([by_accession()], MODEL.key, NOW)

    def ask() -> Callable[[], object]:
        return lambda: store.look_up(EHR, PATIENT, [by_uid()], MODEL.key, NOW, urgent=True)

    all_at_once([ask() for _ in range(6)])

    assert count(engine, Exam) == 1


def test_what_an_archive_brings_is_the_exam_that_the_ehr_knows_by_its_accession_number(
    store: Store, engine: Engine
) -> None:
    store.register([by_accession()], MODEL.key, NOW)

    assert store.register([brought()], MODEL.key, NOW) == 0
    find(store)
    assert store.register([replace(brought(), accession_number=None)], MODEL.key, NOW) == 0

    assert count(engine, Exam) == 1


def test_what_an_archive_brought_is_the_ehrs_once_it_lists_the_accession_number(store: Store, engine: Engine) -> None:
    store.register([brought()], MODEL.key, NOW)
    store.save_score(claimed(store), scored())

    store.register([by_accession()], MODEL.key, NOW)
    assert isinstance(outcome(store, A1), ScoredExam)
    store.unlist(EHR, PATIENT, [], NOW)

    assert (count(engine, Exam), store.exams_of(EHR, PATIENT, MODEL.key)) == (1, [])


def test_no_archive_brings_back_what_the_ehr_has_withdrawn_by_its_accession_number(store: Store) -> None:
    store.withdraw(EHR, PATIENT, [A1], NOW)

    store.register([brought()], MODEL.key, NOW)

    assert store.exams_of(EHR, PATIENT, MODEL.key) == []


def test_what_an_archive_brought_goes_with_the_accession_number_that_the_ehr_withdraws(store: Store) -> None:
    store.register([brought()], MODEL.key, NOW)

    store.unlist(EHR, PATIENT, [], NOW, gone=[A1])

    assert store.exams_of(EHR, PATIENT, MODEL.key) == []


def test_what_turned_out_to_be_one_study_goes_together_and_is_taken_back_once(store: Store, engine: Engine) -> None:
    store.register([by_accession(), replace(brought(), accession_number=None)], MODEL.key, NOW)
    find(store)
    said = conclusion("1.2.1")
    AssessmentRecords(engine).assess(EHR, PATIENT, MODEL.key, NOW, lambda *_: said, [Destination.CHART])

    assert store.unlist(EHR, PATIENT, [], NOW) == 2

    assert store.exams_of(EHR, PATIENT, MODEL.key) == []
    assert statuses(engine) == ["final", "entered-in-error"]


def test_nothing_is_taken_back_while_the_ehr_lists_the_study_under_another_key(store: Store, engine: Engine) -> None:
    store.register([by_accession(), replace(by_uid(), accession_number=None)], MODEL.key, NOW)
    find(store)
    said = conclusion("1.2.1")
    AssessmentRecords(engine).assess(EHR, PATIENT, MODEL.key, NOW, lambda *_: said, [Destination.CHART])

    assert store.unlist(EHR, PATIENT, ["1.2.1"], NOW) == 1

    assert statuses(engine) == ["final"]


def test_two_studies_of_one_accession_number_are_two_exams(store: Store) -> None:
    store.register([by_accession()], MODEL.key, NOW)
    store.register([by_uid("1.2.1"), by_uid("1.2.2")], MODEL.key, NOW)
    store.register([brought("1.2.3")], MODEL.key, NOW)

    assert sorted(job.study_uid or "" for job in jobs(store)) == ["1.2.1", "1.2.2", "1.2.3"]


def test_a_study_that_the_ehr_moves_by_its_accession_number_no_archive_brings_to_the_first_patient_again(
    store: Store,
) -> None:
    store.register([by_accession()], MODEL.key, NOW)
    store.unlist(EHR, PATIENT, [], NOW)
    store.register([by_accession("p2")], MODEL.key, NOW)

    assert store.register([brought()], MODEL.key, NOW) == 0

    assert store.exams_of(EHR, PATIENT, MODEL.key) == []
    assert outcome(store, A1) == PendingExam(None, None, BELONGS_TO_ANOTHER)
    assert [job.patient_id for job in jobs(store)] == ["p2"]
