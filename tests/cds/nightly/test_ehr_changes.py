"""What an EHR has changed since the last look: every patient of every EHR, and in words what could not be looked at."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from cds.errors import EhrAnswerBroken, EhrNotFound, EhrRefused, EhrUnreachable, MammoTrendError, SettingsError
from cds.nightly.ehr_changes import OVERLAP, EhrChanges, NightEhr
from cds.nightly.night import Found
from cds.store.database import open_database
from cds.store.runs import RunRecords
from cds.store.store import BELONGS_TO_ANOTHER, Store
from cds.store.tables import ExamSource, ScoringState
from model.domain import PendingExam, ScoredExam
from tests.builders import searchset
from tests.cds.builders import EHR, MODEL, NOW, Clock, Json, claimed, fhir_patient, new_exam, scored
from tests.cds.chart_fakes import ChartEhr
from tests.cds.store.asking import jobs, outcome

DAY = timedelta(days=1)


@pytest.fixture
def runs(engine: Engine) -> RunRecords:
    return RunRecords(engine)


def look(engine: Engine, *ehrs: ChartEhr, clock: Clock | None = None) -> Found:
    """One look at EHRs named ehr-1, ehr-2 and so on."""
    named = [NightEhr(f"ehr-{number}", ehr.opening()) for number, ehr in enumerate(ehrs, 1)]
    found = Found()
    EhrChanges(named, Store(engine), RunRecords(engine), MODEL.key, clock or Clock())(found)
    return found


def queued(store: Store) -> list[str]:
    return sorted(job.study_uid or "" for job in jobs(store))


# What is found


def test_a_list_that_lacks_what_the_list_of_changes_names_takes_nothing_back_and_is_read_again(
    engine: Engine, store: Store, runs: RunRecords
) -> None:
    class Rebuilding(ChartEhr):
        """Its search by patient finds nothing, while its index is made anew."""

        def search(self, query: str) -> Json:
            """Nothing."""
            return searchset() if self.is_rebuilding else super().search(query)

        is_rebuilding = True

    store.register([new_exam("1.2.1", "p1", "ehr-1")], MODEL.key, NOW)
    ehr = Rebuilding("p1")
    ehr.put("p1", "1.2.1")
    ehr.put("p1", "1.2.2")

    assert "her list lacks a study that the list of changes names" in look(engine, ehr).problems[0]
    assert queued(store) == ["1.2.1"]
    assert (runs.watermark("ehr ehr-1") or NOW - 9 * DAY) <= NOW - 9 * DAY
    ehr.is_rebuilding = False
    look(engine, ehr)
    assert queued(store) == ["1.2.1", "1.2.2"]


def test_where_another_patients_list_is_not_found_only_what_moved_is_taken_from_her(
    engine: Engine, store: Store
) -> None:
    store.register([new_exam("1.2.1", "p1", "ehr-1"), new_exam("1.2.2", "p1", "ehr-1")], MODEL.key, NOW)
    ehr = ChartEhr("p1", "p2")
    ehr.put("p2", "1.2.1")
    ehr.failing["list of p1"] = EhrNotFound("gone")

    look(engine, ehr)

    assert {job.study_uid: job.patient_id for job in jobs(store)} == {"1.2.1": "p2", "1.2.2": "p1"}


@pytest.mark.parametrize("where", ["list of p1", "changes"])
def test_an_unforeseen_fault_keeps_the_look_from_nobody_else_and_is_told_without_its_words(
    engine: Engine, store: Store, where: str
) -> None:
    class Faulty(ChartEhr):
        def _ask(self, what: str) -> None:
            super()._ask(what)
            if what == where:
                raise ZeroDivisionError("Ada")

    odd, sound = Faulty("p1", "p2"), ChartEhr("p3")
    odd.put("p1", "1.2.1")
    odd.put("p2", "1.2.2")
    sound.put("p3", "1.2.3")

    found = look(engine, odd, sound)

    assert queued(store) == (["1.2.2", "1.2.3"] if where == "list of p1" else ["1.2.3"])
    (problem,) = found.problems
    assert problem.endswith("an unforeseen fault (ZeroDivisionError)")


@pytest.mark.parametrize("of_merged", ["the other's in her place", "nothing any more"])
def test_a_study_of_a_patient_who_was_merged_into_another_is_the_others(
    engine: Engine, store: Store, of_merged: str
) -> None:
    store.register([new_exam("1.2.1", "p1", "ehr-1")], MODEL.key, NOW)
    ehr = MergingEhr("p1", "p2")
    ehr.put("p2", "1.2.1")
    if of_merged == "nothing any more":
        ehr.failing["list of p1"] = EhrNotFound("gone")

    assert look(engine, ehr).problems == []

    assert [(job.study_uid, job.patient_id) for job in jobs(store)] == [("1.2.1", "p2")]


class MergingEhr(ChartEhr):
    """An EHR that takes p1 for p2, into whom she was merged."""

    def search(self, query: str) -> Json:
        """Her studies are the other's."""
        if "patient=p1" in query:
            self._ask("list of p1")
            return super().search(query.replace("patient=p1", "patient=p2"))
        return super().search(query)


def test_what_is_withdrawn_goes_also_where_another_study_of_the_list_could_not_be_read(
    engine: Engine, store: Store
) -> None:
    store.register([new_exam("1.2.1", "p1", "ehr-1"), new_exam("1.2.2", "p1", "ehr-1")], MODEL.key, NOW)
    ehr = ChartEhr("p1")
    ehr.put("p1", "1.2.1", status="entered-in-error")
    ehr.put("p1", "1.2.3", modality="XYZ")

    assert "modality code that is not known" in look(engine, ehr).problems[0]

    assert sorted(job.study_uid or "" for job in jobs(store)) == ["1.2.2"]


def test_a_look_at_a_patient_has_what_archives_brought_of_her_compared_with_what_the_ehr_says_of_her_now(
    engine: Engine, store: Store
) -> None:
    brought = new_exam("1.2.9", "p1", "ehr-1", source=ExamSource.PACS, patient_identifiers=("MRN-1", "MRN-9"))
    store.register([brought], MODEL.key, NOW)
    store.save_score(claimed(store), scored("1.2.9"))
    ehr = ChartEhr("p1")
    ehr.put("p1", "1.2.1", modality="CT")

    look(engine, ehr)

    assert [(job.study_uid, job.patient_identifiers) for job in jobs(store)] == [("1.2.9", ("MRN-1",))]


def test_a_list_in_which_a_study_is_twice_may_lack_another_and_is_read_again(engine: Engine, runs: RunRecords) -> None:
    class Shifting(ChartEhr):
        """Something changes between two pages: the first study comes again, and the last slides past."""

        def pages(self, query: str) -> Iterator[Json]:
            """Two pages of the three studies that it counts."""
            first, second, _ = self.studies.values()
            yield searchset(first, second, total=3)
            yield searchset(first, total=3)

    ehr = Shifting("p1")
    for uid in ("1.2.1", "1.2.2", "1.2.3"):
        ehr.put("p1", uid)

    assert "counts 3 changed studies and listed 2" in look(engine, ehr).problems[-1]
    assert runs.watermark("ehr ehr-1") is None


def test_what_could_not_be_read_of_the_list_is_asked_for_again(engine: Engine, runs: RunRecords) -> None:
    class Filtered(ChartEhr):
        """One of its entries holds nothing."""

        def pages(self, query: str) -> Iterator[Json]:
            """A page with one entry too many."""
            page = searchset(*self.studies.values())
            page["entry"].append({"fullUrl": "urn:uuid:1"})
            yield page

    ehr = Filtered("p1")
    ehr.put("p1", "1.2.1")

    assert "1 entry could not be read" in look(engine, ehr).problems[0]
    assert runs.watermark("ehr ehr-1") is None


def test_what_an_archive_brought_of_one_patient_is_anothers_once_the_ehr_lists_it_there(
    engine: Engine, store: Store
) -> None:
    store.register([new_exam("1.2.1", "p1", "ehr-1", source=ExamSource.PACS)], MODEL.key, NOW)
    store.save_score(claimed(store), scored())
    ehr = ChartEhr("p1", "p2")
    ehr.put("p1", "1.2.7")
    ehr.put("p2", "1.2.1")

    look(engine, ehr)

    assert sorted(store.outcomes("ehr-1", "p1", [], MODEL.key)) == []
    assert {job.study_uid: job.patient_id for job in jobs(store)} == {"1.2.1": "p2", "1.2.7": "p1"}


def test_the_day_of_a_moment_in_utc_is_the_clinics(engine: Engine, store: Store) -> None:
    ehr = ChartEhr("p1")
    ehr.put("p1", "1.2.1", started="2026-05-04T01:00:00Z")
    there = NightEhr(EHR, ehr.opening(), ZoneInfo("America/Los_Angeles"))

    EhrChanges([there], store, RunRecords(engine), MODEL.key, Clock())(Found())

    assert claimed(store).performed_on == date(2026, 5, 3)


def test_every_exam_of_every_patient_is_queued_with_what_the_worker_needs(engine: Engine, store: Store) -> None:
    ehr = ChartEhr("p1", "p2")
    for patient_id, uid in (("p1", "1.2.1"), ("p2", "1.2.2"), ("p1", "1.2.3")):
        ehr.put(patient_id, uid)

    found = look(engine, ehr)

    assert (found.patients, found.exams, found.problems) == (2, 3, [])
    assert claimed(store).patient_identifiers == ("MRN-1",)
    assert store.count(MODEL.key, ScoringState.QUEUED) == 3


def test_the_list_of_changes_is_read_to_its_last_page(engine: Engine, store: Store) -> None:
    ehr = ChartEhr(*(f"p{number}" for number in range(7)), page_size=3)
    for number in range(7):
        ehr.put(f"p{number}", f"1.2.{number}")

    assert look(engine, ehr).exams == 7


def test_a_second_look_finds_nothing_new_and_queues_nothing_twice(engine: Engine, store: Store) -> None:
    ehr = ChartEhr("p1")
    ehr.put("p1", "1.2.1")
    look(engine, ehr)
    store.save_score(claimed(store), scored("1.2.1"))

    assert look(engine, ehr).exams == 0
    assert store.count(MODEL.key, ScoringState.QUEUED) == 0


def look_at_server(engine: Engine, ehr: ChartEhr, server: str) -> Found:
    found = Found()
    at = NightEhr("ehr-1", ehr.opening(), server=server)
    EhrChanges([at], Store(engine), RunRecords(engine), MODEL.key, Clock())(found)
    return found


def test_another_server_under_the_same_name_is_read_from_its_beginning(engine: Engine, store: Store) -> None:
    first, second = ChartEhr("p1"), ChartEhr("p2", "p3")
    first.put("p1", "1.2.1", NOW - DAY)
    second.put("p2", "1.2.2", NOW - 300 * DAY)
    second.put("p3", "1.2.3", NOW - DAY)
    look_at_server(engine, first, "https://old.example/fhir")

    assert look_at_server(engine, second, "https://new.example/fhir").patients == 2
    assert look_at_server(engine, second, "https://new.example/fhir").patients == 1
    assert queued(store) == ["1.2.1", "1.2.2", "1.2.3"]


def test_where_it_was_read_by_its_name_alone_until_now_it_is_not_all_read_again(engine: Engine) -> None:
    ehr, another = ChartEhr("p1"), ChartEhr("p1")
    for one in (ehr, another):
        one.put("p1", "1.2.1", NOW - 300 * DAY)
    RunRecords(engine).move_watermark("ehr ehr-1", NOW - DAY)

    assert look_at_server(engine, ehr, "https://ehr.example/fhir").patients == 0
    assert look_at_server(engine, another, "https://another.example/fhir").patients == 1


def test_an_earlier_exam_that_did_not_change_is_found_with_the_one_that_did(engine: Engine, store: Store) -> None:
    ehr = ChartEhr("p1")
    ehr.put("p1", "1.2.1", NOW - 300 * DAY)
    RunRecords(engine).move_watermark("ehr ehr-1", NOW - 10 * DAY)
    ehr.put("p1", "1.2.2", NOW - DAY)

    look(engine, ehr)

    assert queued(store) == ["1.2.1", "1.2.2"]


def test_an_exam_with_a_dicomweb_endpoint_is_queued_with_its_address(engine: Engine, store: Store) -> None:
    ehr = ChartEhr("p1")
    ehr.put("p1", "1.2.1", endpoint=[{"reference": "Endpoint/e1"}])
    ehr.put("p1", "1.2.2", endpoint=[{"reference": "Endpoint/gone"}])
    ehr.endpoints["e1"] = {
        "resourceType": "Endpoint",
        "id": "e1",
        "status": "active",
        "connectionType": {"code": "dicom-wado-rs"},
        "address": "http://pacs.example/dicom-web",
    }

    assert look(engine, ehr).problems == []

    assert [job.dicomweb_root for job in jobs(store)] == ["http://pacs.example/dicom-web", None]
    assert ehr.asked.count("Endpoint/e1") == 1


def test_a_site_without_mammograms_has_an_uneventful_night(engine: Engine) -> None:
    assert look(engine, ChartEhr()) == Found()


# How far it has read


def test_the_next_look_begins_shortly_before_the_last_change_that_was_seen(engine: Engine, runs: RunRecords) -> None:
    ehr = ChartEhr("p1")
    ehr.put("p1", "1.2.1", NOW - 2 * DAY)
    ehr.put("p1", "1.2.2", NOW - 3 * DAY)
    look(engine, ehr)

    assert runs.watermark("ehr ehr-1") == NOW - 2 * DAY
    look(engine, ehr)
    since = [asked for asked in ehr.asked if asked.startswith("changes since ")][-1]
    assert since == f"changes since {NOW - 2 * DAY - OVERLAP:%Y-%m-%dT%H:%M:%SZ}"


def test_a_list_that_breaks_off_moves_nothing_and_what_came_of_it_is_kept(
    engine: Engine, store: Store, runs: RunRecords
) -> None:
    ehr = ChartEhr("p1", "p2", page_size=1)
    ehr.put("p1", "1.2.1")
    ehr.put("p2", "1.2.2")
    ehr.failing["changes"] = EhrRefused("the token has expired")

    found = look(engine, ehr)

    assert found.problems == ["ehr-1: the token has expired"]
    assert queued(store) == ["1.2.1"]
    assert runs.watermark("ehr ehr-1") is None
    del ehr.failing["changes"]
    assert look(engine, ehr).exams == 1


@pytest.mark.parametrize(
    "problem",
    [EhrNotFound("it is not there"), EhrUnreachable("no connection"), EhrAnswerBroken("not JSON")],
)
@pytest.mark.parametrize("what", ["Patient/p2", "list of p2"])
def test_over_a_patient_who_could_not_be_looked_at_the_reading_does_not_move_on(
    engine: Engine, store: Store, runs: RunRecords, problem: MammoTrendError, what: str
) -> None:
    ehr = ChartEhr("p1", "p2")
    ehr.put("p2", "1.2.2", NOW - 3 * DAY)
    ehr.put("p1", "1.2.1", NOW - DAY)
    ehr.failing[what] = problem

    found = look(engine, ehr)

    assert found.problems == [f"ehr-1: a patient: {problem}"]
    assert runs.watermark("ehr ehr-1") == NOW - 3 * DAY
    ehr.failing.clear()
    look(engine, ehr)
    assert runs.watermark("ehr ehr-1") == NOW - DAY
    assert queued(store) == ["1.2.1", "1.2.2"]


def test_an_ehr_whose_clock_is_ahead_hides_nothing_once_it_is_put_back(
    engine: Engine, store: Store, runs: RunRecords
) -> None:
    ehr = ChartEhr("p1")
    ehr.put("p1", "1.2.1", NOW + 400 * DAY)
    look(engine, ehr)
    assert runs.watermark("ehr ehr-1") == NOW

    ehr.put("p1", "1.2.2", NOW + timedelta(minutes=1))
    assert look(engine, ehr).exams == 1


def test_an_ehr_that_does_not_say_when_it_changed_a_study_is_read_whole_each_time(
    engine: Engine, runs: RunRecords
) -> None:
    ehr = ChartEhr("p1")
    ehr.put("p1", "1.2.1")
    del ehr.studies["1.2.1"]["meta"]

    look(engine, ehr)
    assert runs.watermark("ehr ehr-1") is None
    ehr.put("p1", "1.2.2")
    assert look(engine, ehr).exams == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    nights=st.lists(
        st.lists(st.tuples(st.sampled_from(["p1", "p2", "p3"]), st.integers(0, 7), st.booleans()), max_size=4),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_fails_in_between_no_exam_is_lost(nights: list[list[tuple[str, int, bool]]]) -> None:
    """Each night some studies change and some patients cannot be read; after one quiet night all are on record."""
    engine = open_database("sqlite://")
    ehr, clock = ChartEhr("p1", "p2", "p3"), Clock()
    filed: dict[str, str] = {}
    for changes in [*nights, []]:
        clock.advance(DAY)
        for patient_id, number, fails in changes:
            owner = filed.setdefault(f"1.2.{number}", patient_id)
            ehr.put(owner, f"1.2.{number}", clock.now - timedelta(hours=number))
            if fails:
                ehr.failing[f"list of {owner}"] = EhrUnreachable("no connection")
        look(engine, ehr, clock=clock)
        ehr.failing.clear()
    look(engine, ehr, clock=clock)

    assert queued(Store(engine)) == sorted(filed)
    engine.dispose()


# What cannot be looked at


@pytest.mark.parametrize("problem", [EhrRefused("the token does not fit"), EhrUnreachable("no connection")])
def test_an_ehr_that_cannot_be_read_is_named_and_the_others_are_looked_at(
    engine: Engine, problem: MammoTrendError
) -> None:
    silent, other = ChartEhr(), ChartEhr("p1")
    silent.failing["changes"] = problem
    other.put("p1", "1.2.1")

    found = look(engine, silent, other)

    assert (found.patients, found.exams, found.problems) == (1, 1, [f"ehr-1: {problem}"])


def test_an_ehr_that_cannot_even_be_opened_is_named_and_the_others_are_looked_at(engine: Engine) -> None:
    def unreadable() -> AbstractContextManager[ChartEhr]:
        raise SettingsError("the secret file 'token' is empty")

    other, found = ChartEhr("p1"), Found()
    other.put("p1", "1.2.1")
    ehrs = [NightEhr("closed", unreadable), NightEhr(EHR, other.opening())]
    EhrChanges(ehrs, Store(engine), RunRecords(engine), MODEL.key, Clock())(found)

    assert (found.exams, found.problems) == (1, ["closed: the secret file 'token' is empty"])


def test_nothing_that_is_told_or_logged_names_a_patient(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ehr = ChartEhr("patient-77")
    ehr.put("patient-77", "1.2.1")
    ehr.patients["patient-77"] = fhir_patient("patient-78")

    found = look(engine, ehr)

    assert len(found.problems) == 1
    assert not [secret for secret in ("patient-7", "MRN-1", "1.2.1") if secret in found.problems[0] + caplog.text]


def test_a_study_that_names_no_patient_is_told_of(engine: Engine) -> None:
    ehr = ChartEhr("p1")
    ehr.put("p1", "1.2.1")
    ehr.put("p1", "1.2.2")
    del ehr.studies["1.2.2"]["subject"]
    ehr.studies["1.2.2"]["subject"] = {"reference": "urn:uuid:8"}

    found = look(engine, ehr)

    assert (found.exams, found.problems) == (1, ["ehr-1: 1 study names no patient"])


def test_an_ehr_that_is_silent_again_and_again_is_left_alone_for_this_run(engine: Engine, runs: RunRecords) -> None:
    ehr = ChartEhr(*(f"p{number}" for number in range(9)))
    for number in range(9):
        ehr.put(f"p{number}", f"1.2.{number}", NOW - number * DAY)
        ehr.failing[f"list of p{number}"] = EhrUnreachable("no connection")

    found = look(engine, ehr)

    assert [asked for asked in ehr.asked if asked.startswith("list of")] == ["list of p0", "list of p1", "list of p2"]
    assert found.problems[-1] == "ehr-1: 6 patients are left to the next run"
    assert runs.watermark("ehr ehr-1") == NOW - 8 * DAY
    ehr.failing.clear()
    assert look(engine, ehr).exams == 9


def test_a_look_that_is_told_to_stop_leaves_the_rest_to_the_next_one(engine: Engine, runs: RunRecords) -> None:
    ehr = ChartEhr("p1", "p2")
    ehr.put("p1", "1.2.1")
    ehr.put("p2", "1.2.2")
    found = Found()
    found.stop.set()

    EhrChanges([NightEhr("ehr-1", ehr.opening())], Store(engine), runs, MODEL.key, Clock())(found)

    assert (found.exams, found.problems) == (0, ["ehr-1: 2 patients are left to the next run"])
    assert look(engine, ehr).exams == 2


# Whose exam it is


def test_a_study_that_the_ehr_files_under_another_patient_now_is_moved_to_her(engine: Engine, store: Store) -> None:
    ehr = ChartEhr("p1", "p2")
    ehr.patients["p2"]["identifier"] = [{"value": "MRN-2"}]
    ehr.put("p1", "1.2.1")
    look(engine, ehr)
    store.save_score(claimed(store), scored("1.2.1"))

    ehr.put("p2", "1.2.1", NOW)
    found = look(engine, ehr)

    assert found.problems == []
    assert claimed(store).patient_identifiers == ("MRN-2",)
    assert outcome(store) == PendingExam("1.2.1", None, BELONGS_TO_ANOTHER)


def test_a_study_entered_in_error_is_no_longer_hers(engine: Engine, store: Store) -> None:
    ehr = ChartEhr("p1")
    ehr.put("p1", "1.2.1")
    look(engine, ehr)
    store.save_score(claimed(store), scored("1.2.1"))

    ehr.put("p1", "1.2.1", NOW, status="entered-in-error")
    look(engine, ehr)

    assert isinstance(outcome(store), PendingExam)
    assert jobs(store) == []


@pytest.mark.parametrize("order", [("p1", "p2"), ("p2", "p1")])
def test_a_study_filed_under_two_patients_stays_with_the_first_and_is_told_of(
    engine: Engine, store: Store, order: tuple[str, str]
) -> None:
    ehr = ChartEhr("p1", "p2")
    ehr.put("p1", "1.2.1")
    look(engine, ehr)
    store.save_score(claimed(store), scored("1.2.1"))
    twin = {**ehr.studies["1.2.1"], "id": "twin", "subject": {"reference": "Patient/p2"}}
    ehr.studies = {who: ehr.studies["1.2.1"] if who == "p1" else twin for who in order}

    found = look(engine, ehr)

    assert isinstance(outcome(store), ScoredExam)
    assert outcome(store, patient_id="p2") == PendingExam("1.2.1", None, BELONGS_TO_ANOTHER)
    assert "a study is filed under another patient too; correct the EHR" in found.problems[-1]


def test_a_study_stays_where_it_is_while_the_other_patients_list_cannot_be_read(
    engine: Engine, store: Store, runs: RunRecords
) -> None:
    ehr = ChartEhr("p1", "p2")
    ehr.put("p1", "1.2.1")
    look(engine, ehr)
    store.save_score(claimed(store), scored("1.2.1"))
    ehr.put("p2", "1.2.1", NOW)
    ehr.failing["list of p1"] = EhrUnreachable("no connection")

    look(engine, ehr)
    assert isinstance(outcome(store), ScoredExam)

    ehr.failing.clear()
    look(engine, ehr)
    assert isinstance(outcome(store, patient_id="p2"), PendingExam)
    assert claimed(store).patient_id == "p2"


def test_a_list_that_is_not_whole_takes_no_exam_from_the_patient(engine: Engine, store: Store) -> None:
    ehr = ChartEhr("p1")
    ehr.put("p1", "1.2.1")
    ehr.put("p1", "1.2.2")
    look(engine, ehr)

    class Lossy(ChartEhr):
        def search(self, query: str) -> dict[str, object]:
            return {**super().search(query), "total": 2}

    lossy = Lossy("p1")
    lossy.put("p1", "1.2.2", NOW)
    found = look(engine, lossy)

    assert any("not complete" in problem for problem in found.problems)
    assert sorted(store.outcomes(EHR, "p1", ["1.2.1", "1.2.2"], MODEL.key)) == ["1.2.1", "1.2.2"]
    assert outcome(store) == PendingExam("1.2.1", datetime(2026, 5, 3).date(), None, "ImagingStudy/s-1.2.1")  # noqa: DTZ001 - a day


def test_an_exam_whose_images_the_ehr_lists_anew_is_scored_again(engine: Engine, store: Store) -> None:
    ehr = ChartEhr("p1")
    ehr.put("p1", "1.2.1", numberOfInstances=4, series=[])
    look(engine, ehr)
    store.save_score(claimed(store), scored("1.2.1"))

    ehr.put("p1", "1.2.1", NOW, numberOfInstances=5, series=[])
    look(engine, ehr)

    assert claimed(store).study_uid == "1.2.1"
