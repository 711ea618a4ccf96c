"""The nightly run: every patient of every EHR, and in words whatever could not be looked at."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cds.assessment import NO_STUDY_UID, Assessor
from cds.errors import EhrNotFound, EhrRefused, EhrUnreachable, MammoTrendError, SettingsError, UntrustedServer
from cds.night import MAMMOGRAMS, Night, NightEhr, NightSummary
from cds.rescore import UNTRIED, rescore_site
from cds.scoring.worker import Worker
from cds.store.store import BELONGS_TO_ANOTHER, Store
from cds.store.tables import ScoringState
from tests.builders import imaging_study, operation_outcome, screening_exam, searchset
from tests.cds.builders import MODEL, NOW, Clock, claimed, fhir_patient, memory_store, new_exam, scored
from tests.cds.scoring.test_worker import FakeScorer
from tests.fakes import FakeArchive, FakeEhr

Answers = Mapping[str, dict[str, Any] | MammoTrendError]


@pytest.fixture
def store() -> Store:
    return memory_store()


def night(store: Store, *answers: Answers) -> Night:
    """The nightly run over EHRs that answer so."""
    ehrs = tuple(NightEhr(f"ehr-{number}", FakeEhr(given).opening()) for number, given in enumerate(answers, 1))
    return Night(ehrs, Assessor(store, MODEL, lambda risk: risk > 0.017, Clock()))


def ehr(*studies: dict[str, Any], **patients: dict[str, Any] | MammoTrendError) -> Answers:
    """An EHR with these studies and patients."""
    people = {f"Patient/{patient_id}": person for patient_id, person in patients.items()}
    return {MAMMOGRAMS: searchset(*studies), **people}


def study(patient_id: str, uid: str) -> dict[str, Any]:
    return imaging_study(patient_id, "2026-05-03", uid, id=f"s-{uid}")


def test_every_exam_of_every_patient_is_queued_with_what_the_worker_needs(store: Store) -> None:
    site = ehr(
        study("p1", "1.2.1"), study("p2", "1.2.2"), study("p1", "1.2.3"), p1=fhir_patient(), p2=fhir_patient("p2")
    )

    assert night(store, site).find_exams() == NightSummary(patients=2, pending=3, held={None: 3})
    assert claimed(store).patient_identifiers == ("MRN-1",)


def test_a_second_night_queues_nothing_twice_and_counts_what_was_done(store: Store) -> None:
    run = night(store, ehr(study("p1", "1.2.1"), study("p1", "1.2.2"), p1=fhir_patient()))
    run.find_exams()
    store.save_score(claimed(store), scored("1.2.1"))

    assert run.find_exams() == NightSummary(patients=1, scored=1, pending=1, held={None: 1})
    assert store.count(MODEL.key, ScoringState.QUEUED) == 1


@pytest.mark.parametrize(
    "problem",
    [
        EhrRefused("the token does not fit"),
        EhrUnreachable("no connection"),
        UntrustedServer("another server"),
        operation_outcome(),
        {"resourceType": "Patient"},
    ],
)
def test_an_ehr_that_cannot_be_read_is_named_and_the_others_are_looked_at(
    store: Store, problem: dict[str, Any] | MammoTrendError
) -> None:
    found = night(store, {MAMMOGRAMS: problem}, ehr(study("p1", "1.2.1"), p1=fhir_patient())).find_exams()

    assert (found.patients, found.pending, len(found.problems)) == (1, 1, 1)
    assert found.problems[0].startswith("ehr-1: ")


@pytest.mark.parametrize("problem", [EhrNotFound("it is not there"), fhir_patient("p2"), operation_outcome()])
def test_a_patient_who_cannot_be_read_is_told_of_without_her_id_and_the_others_are_looked_at(
    store: Store, problem: dict[str, Any] | MammoTrendError, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    site = ehr(study("patient-77", "1.2.1"), study("p1", "1.2.2"), **{"patient-77": problem}, p1=fhir_patient())

    found = night(store, site).find_exams()

    assert (found.patients, found.pending, len(found.problems)) == (1, 1, 1)
    assert found.problems[0].startswith("ehr-1: a patient: ")
    assert "patient-77" not in found.problems[0] + caplog.text


def test_what_a_search_could_not_show_is_told(store: Store) -> None:
    nobodys = study("p1", "1.2.2")
    del nobodys["subject"]
    site = {
        MAMMOGRAMS: searchset(study("p1", "1.2.1"), nobodys, operation_outcome()),
        "Patient/p1": fhir_patient(),
    }

    found = night(store, site).find_exams()

    assert (found.patients, found.pending) == (1, 1)
    assert any("error" in problem for problem in found.problems)
    assert "ehr-1: 1 study names no patient" in found.problems


def test_an_exam_without_a_study_uid_is_counted_as_pending(store: Store) -> None:
    nameless = study("p1", "1.2.1") | {"identifier": []}

    assert night(store, ehr(nameless, p1=fhir_patient())).find_exams().pending == 1
    assert store.count(MODEL.key, ScoringState.QUEUED) == 0


def test_a_site_without_mammograms_has_an_uneventful_night(store: Store) -> None:
    assert night(store, ehr()).find_exams() == NightSummary()


def test_an_ehr_that_cannot_even_be_opened_is_named_and_the_others_are_looked_at(store: Store) -> None:
    def unreadable() -> AbstractContextManager[FakeEhr]:
        raise SettingsError("the secret file 'token' is empty")

    run = night(store, ehr(study("p1", "1.2.1"), p1=fhir_patient()))

    found = Night((NightEhr("closed", unreadable), *run.ehrs), run.assessor).find_exams()

    assert (found.patients, found.problems) == (1, ("closed: the secret file 'token' is empty",))


# Whose exam it is


def test_a_study_that_the_ehr_files_under_another_patient_now_is_moved_to_her(store: Store) -> None:
    people = {"p1": fhir_patient(), "p2": fhir_patient("p2", identifier=[{"value": "MRN-2"}])}
    night(store, ehr(study("p1", "1.2.1"), **people)).find_exams()
    store.save_score(claimed(store), scored("1.2.1"))

    found = night(store, ehr(study("p2", "1.2.1"), **people)).find_exams()

    assert found == NightSummary(patients=1, pending=1, held={None: 1})
    assert claimed(store).patient_identifiers == ("MRN-2",)


def test_a_study_entered_in_error_under_the_first_patient_is_moved_to_the_second(store: Store) -> None:
    people = {"p1": fhir_patient(), "p2": fhir_patient("p2")}
    night(store, ehr(study("p1", "1.2.1"), **people)).find_exams()

    wrong = study("p1", "1.2.1") | {"status": "entered-in-error"}
    found = night(store, ehr(wrong, study("p2", "1.2.1"), **people)).find_exams()

    assert (found.held, found.problems) == ({None: 1}, ())


@pytest.mark.parametrize("order", [("p1", "p2"), ("p2", "p1")])
def test_a_study_filed_under_two_patients_stays_with_the_first_and_is_told_of(
    store: Store, order: tuple[str, str]
) -> None:
    people = {"p1": fhir_patient(), "p2": fhir_patient("p2")}
    night(store, ehr(study("p1", "1.2.1"), **people)).find_exams()
    store.save_score(claimed(store), scored("1.2.1"))

    found = night(store, ehr(*(study(who, "1.2.1") for who in order), **people)).find_exams()

    assert (found.scored, found.held) == (1, {BELONGS_TO_ANOTHER: 1})
    assert found.problems == ("ehr-1: 1 study is filed under more than one patient; correct the EHR",)


# At the terminal


def rescored(run: Night, store: Store, pacs: FakeArchive, clock: Clock | None = None) -> tuple[NightSummary, str]:
    """The summary and what was printed, as one line of words."""
    console = Console(record=True, width=120, file=StringIO())
    summary = rescore_site(run, Worker(store, pacs, FakeScorer(), MODEL.key, clock or Clock()), console)
    return summary, " ".join(console.export_text().split())


def test_rescoring_at_the_terminal_scores_what_is_due_and_sums_up(store: Store) -> None:
    run = night(
        store,
        ehr(study("p1", "1.2.1"), study("p1", "1.2.2"), p1=fhir_patient()),
        {MAMMOGRAMS: EhrRefused("no [token]")},
    )

    summary, printed = rescored(run, store, FakeArchive({"1.2.1": screening_exam("1.2.1")}))

    assert (summary.scored, summary.pending) == (1, 1)
    assert "1 patients: 1 exams scored, 0 refused, 1 still queued." in printed
    assert "Could not look: ehr-2: no [token]" in printed


def test_rescoring_says_how_many_exams_are_held_for_which_reason_and_names_none(store: Store) -> None:
    exams = [study("p1", f"1.2.{number}") for number in range(1, 5)]
    run = night(store, ehr(*exams, study("p1", "1.2.9") | {"identifier": []}, p1=fhir_patient()))
    pacs = FakeArchive({"1.2.1": screening_exam("1.2.1", patient_id="STRANGER")})

    summary, printed = rescored(run, store, pacs)

    assert summary.pending == 5
    assert "Held, 3: the archive does not have the study" in printed
    assert "Held, 1: its images carry a patient ID that the EHR does not list" in printed
    assert f"Held, 1: {NO_STUDY_UID}" in printed
    assert not [secret for secret in ("1.2.", "STRANGER", "MRN-1", "p1") if secret in printed]


def test_rescoring_tries_an_exam_at_once_that_waits_for_its_next_attempt(store: Store) -> None:
    run = night(store, ehr(study("p1", "1.2.1"), p1=fhir_patient()))
    rescored(run, store, FakeArchive({}))

    summary, _ = rescored(run, store, FakeArchive({"1.2.1": screening_exam("1.2.1")}))

    assert (summary.scored, summary.pending) == (1, 0)


def test_rescoring_tries_and_tells_of_an_exam_whose_ehr_cannot_be_read_now(store: Store) -> None:
    night(store, ehr(study("p1", "1.2.1"), p1=fhir_patient())).find_exams()
    pacs = FakeArchive({})

    summary, printed = rescored(night(store, {MAMMOGRAMS: EhrUnreachable("no connection")}), store, pacs)

    assert [study_uid for study_uid, _ in pacs.asked] == ["1.2.1"]
    assert (summary.pending, summary.patients) == (1, 0)
    assert "1 still queued. Held, 1: the archive does not have the study" in printed


def test_rescoring_says_of_an_exam_that_another_worker_has_that_it_is_not_done(store: Store) -> None:
    run = night(store, ehr(study("p1", "1.2.1"), p1=fhir_patient()))
    run.find_exams()
    claimed(store)

    summary, printed = rescored(run, store, FakeArchive({}))

    assert summary.pending == 1
    assert f"Held, 1: {UNTRIED}" in printed


def test_rescoring_tries_each_exam_once_although_failing_ones_are_due_again_before_it_ends(store: Store) -> None:
    clock = Clock()
    store.register([new_exam("1.2.9")], MODEL.key, NOW, urgent=True)
    run = night(store, ehr(study("p1", "1.2.1"), study("p1", "1.2.2"), p1=fhir_patient()))

    class SlowArchive(FakeArchive):
        """Every failing fetch takes longer than the wait before the next attempt."""

        def retrieve_study(self, study_uid: str, root: str | None = None) -> list[Any]:
            clock.sleep(7 * 3600)
            return super().retrieve_study(study_uid, root)

    pacs = SlowArchive({})
    rescored(run, store, pacs, clock)

    assert sorted(study_uid for study_uid, _ in pacs.asked) == ["1.2.1", "1.2.2", "1.2.9"]
    assert clock.now > NOW
