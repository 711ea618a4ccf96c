"""The scoring queue: what is new before what only waits for a new model, and nobody waits for nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from cds.store.store import EVERYTHING, NewExam, Store
from cds.store.tables import ExamSource
from tests.cds.builders import EHR, LEASE, MODEL, NOW, PATIENT, new_exam, refused
from tests.cds.store.asking import all_at_once, jobs

MINUTE = timedelta(minutes=1)


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


def test_what_a_hook_asks_for_is_urgent_although_it_was_backlog(store: Store) -> None:
    backlog(store, new_exam("1.2.1"), new_exam("1.2.2"), new_exam("1.2.3"))

    store.look_up(EHR, PATIENT, [new_exam("1.2.3")], "new", NOW, urgent=True)

    assert [job.study_uid for job in jobs(store, "new")] == ["1.2.3", "1.2.1", "1.2.2"]


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


def test_a_study_that_is_withdrawn_while_a_night_makes_the_same_patients_exams_due_stops_neither(store: Store) -> None:
    store.register([new_exam(f"1.2.{number}") for number in range(40)], MODEL.key, NOW)
    for job in jobs(store):
        store.save_failure(job, "the archive is silent", NOW)

    def withdraw(number: int) -> Callable[[], int]:
        return lambda: store.unlist(EHR, PATIENT, [f"1.2.{other}" for other in range(number)], NOW)

    def make_due() -> None:
        store.make_due(MODEL.key, NOW)

    all_at_once([step for number in (39, 38, 37) for step in (withdraw(number), make_due)])

    assert len(jobs(store)) == 37
