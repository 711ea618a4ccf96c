"""From scores that have come to rest to the assessment in the chart: once for each change, of every patient."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import DataError
from sqlmodel import Session, col, select

from cds.delivery.reporting import PRIORS_NOT_LOOKED_FOR, ReportedEhr, Reporter
from cds.errors import PacsUnreachable
from cds.scoring.outcomes import Held
from cds.scoring.preparation import Preparation
from cds.scoring.stages import StageTimes
from cds.store.assessments import AssessmentRecords
from cds.store.database import open_database
from cds.store.outbox import OutboxRecords
from cds.store.store import Store
from cds.store.tables import Assessment, Destination, Outbox
from hooks.card_details import RESEARCH_BANNER
from hooks.case import MriPolicy
from hooks.site import Mode, Site
from model.domain import STANDARD_VIEWS, Comparability, Provenance, ScoredExam, SourceImage, Trajectory
from model.trajectory import trajectory
from tests.builders import screening_exam
from tests.cds.builders import (
    EHR,
    LEASE,
    MODEL,
    NOW,
    PATIENT,
    Clock,
    claimed,
    join,
    new_exam,
    refused,
    scored,
    scored_by,
)
from tests.cds.scoring.fakes import FakeScorer
from tests.fakes import FakeArchive

CHART = frozenset({Destination.CHART})
SITE = Site(mode=Mode.RESEARCH, demo_banner="Not for clinical use.")


def reporter(engine: Engine, priors: object = None, destinations: frozenset[Destination] = CHART) -> Reporter:
    ehrs = {EHR: ReportedEhr(SITE, destinations)}
    return Reporter(AssessmentRecords(engine), MODEL, join, ehrs, Clock(), priors)  # type: ignore[arg-type] # a fake


def report_all(engine: Engine, priors: object = None) -> int:
    """Report until there is nothing left; how many patients that were."""
    working, count = reporter(engine, priors), 0
    while working.report_next():
        count += 1
        assert count < 100
    return count


def exam(store: Store, year: int, five_year: float, patient_id: str = PATIENT, **changes: object) -> None:
    uid, day = f"1.2.{year}", date(year, 5, 3)
    store.register([new_exam(uid, patient_id, performed_on=day, imaging_study=f"ImagingStudy/s{year}")], MODEL.key, NOW)
    store.save_score(claimed(store), scored(uid, five_year, day, **changes))


def conclusions(engine: Engine) -> list[Assessment]:
    with Session(engine, expire_on_commit=False) as session:
        return list(session.exec(select(Assessment).order_by(col(Assessment.id))).all())


def deliveries(engine: Engine) -> int:
    with Session(engine) as session:
        return len(session.exec(select(Outbox)).all())


def test_a_whole_history_makes_one_assessment_of_its_newest_exam(engine: Engine, store: Store) -> None:
    for year, five_year in ((2026, 0.066), (2024, 0.015), (2025, 0.016)):
        exam(store, year, five_year)

    assert report_all(engine) == 1

    (kept,) = conclusions(engine)
    assert (kept.study_uid, kept.status, kept.current) == ("1.2.2026", "final", True)
    assert (kept.over_threshold, kept.newly_over) == (True, True)
    assert kept.change == pytest.approx(0.051)
    assert kept.years == pytest.approx(2.0, abs=0.01)
    assert deliveries(engine) == 1


def test_the_resource_names_the_exam_the_banners_and_the_change(engine: Engine, store: Store) -> None:
    exam(store, 2025, 0.016)
    exam(store, 2026, 0.066)
    report_all(engine)

    resource = conclusions(engine)[0].resource

    assert resource["subject"] == {"reference": f"Patient/{PATIENT}"}
    assert resource["basis"] == [{"reference": "ImagingStudy/s2026"}]
    assert [round(one["probabilityDecimal"], 6) for one in resource["prediction"]][-1] == 6.6
    note = resource["note"][0]["text"]
    assert "Not for clinical use." in note
    assert "Change from 2025-05-03 to 2026-05-03: +5.0 percentage points in 1.0 years." in note


def test_the_assessment_of_a_later_exam_rests_on_the_earlier_one_in_the_chart(engine: Engine, store: Store) -> None:
    exam(store, 2025, 0.016)
    report_all(engine)
    outbox = OutboxRecords(engine)
    delivery = outbox.claim(NOW, LEASE)
    assert delivery is not None
    outbox.delivered(delivery, "RiskAssessment/7", NOW)

    exam(store, 2026, 0.066)
    report_all(engine)

    assert conclusions(engine)[-1].resource["basis"] == [
        {"reference": "ImagingStudy/s2026"},
        {"reference": "RiskAssessment/7"},
    ]


@pytest.mark.parametrize(("minimum", "is_rising"), [(None, False), (0.05, True), (0.06, False)])
def test_a_score_rises_by_what_the_site_can_tell_from_chance_and_not_otherwise(
    engine: Engine, store: Store, minimum: float | None, is_rising: bool
) -> None:
    exam(store, 2025, 0.016)
    exam(store, 2026, 0.066)
    measured = partial(
        trajectory,
        is_over=MriPolicy().is_crossed_by,
        line_of=Comparability(MODEL.key),
        minimum_detectable_change=minimum,
    )
    working = Reporter(AssessmentRecords(engine), MODEL, measured, {EHR: ReportedEhr(SITE, CHART)}, Clock(), None)

    assert working.report_next()

    (kept,) = conclusions(engine)
    assert kept.rising == is_rising
    assert kept.change == pytest.approx(0.05)


def test_the_first_exam_of_all_is_over_but_not_newly(engine: Engine, store: Store) -> None:
    exam(store, 2026, 0.066)
    report_all(engine)

    (kept,) = conclusions(engine)
    assert (kept.over_threshold, kept.newly_over, kept.rising, kept.change) == (True, False, False, None)


@pytest.mark.parametrize(("first", "is_newly_over"), [(0.02, False), (0.015, True)])
def test_a_woman_who_was_over_before_her_line_begins_is_not_newly_over(
    engine: Engine, store: Store, first: float, is_newly_over: bool
) -> None:
    for year in range(2018, 2027):
        exam(store, year, first if year == 2018 else 0.066 if year == 2026 else 0.015)
    report_all(engine)

    (kept,) = conclusions(engine)
    assert (kept.over_threshold, kept.newly_over) == (True, is_newly_over)


def test_an_earlier_exam_that_is_scored_late_amends_the_assessment(engine: Engine, store: Store) -> None:
    exam(store, 2026, 0.066)
    report_all(engine)
    exam(store, 2025, 0.016)
    report_all(engine)

    first, amended = conclusions(engine)
    assert (first.identifier, first.status) == (amended.identifier, "final")
    assert (amended.revision, amended.status, amended.current) == (2, "amended", True)


def test_a_replaced_image_amends_the_assessment_with_the_new_score(engine: Engine, store: Store) -> None:
    exam(store, 2026, 0.066)
    report_all(engine)

    store.reopen_study("1.2.2026", NOW)
    made = Provenance((SourceImage(STANDARD_VIEWS[0], "1.9", "another"),))
    store.save_score(claimed(store), scored("1.2.2026", 0.01, date(2026, 5, 3), provenance=made))
    report_all(engine)

    assert [(kept.status, kept.five_year, kept.over_threshold) for kept in conclusions(engine)] == [
        ("final", 0.066, True),
        ("amended", 0.01, False),
    ]


def test_a_refusal_changes_nothing_of_what_is_concluded_from_another_exam(engine: Engine, store: Store) -> None:
    exam(store, 2025, 0.016)
    report_all(engine)
    store.register([new_exam("1.2.9")], MODEL.key, NOW)
    store.save_refusal(claimed(store), refused("1.2.9"), NOW)

    assert report_all(engine) == 1
    assert len(conclusions(engine)) == 1


def test_of_a_patient_without_any_score_nothing_is_concluded(engine: Engine, store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    store.save_refusal(claimed(store), refused(), NOW)

    assert report_all(engine) == 1
    assert conclusions(engine) == []


def test_an_ehr_that_is_not_written_to_has_its_assessments_in_the_store(engine: Engine, store: Store) -> None:
    exam(store, 2026, 0.066)
    reporter(engine, destinations=frozenset()).report_next()

    assert len(conclusions(engine)) == 1
    assert deliveries(engine) == 0


def test_an_ehr_that_the_settings_no_longer_name_does_not_keep_the_others(engine: Engine, store: Store) -> None:
    store.register([new_exam("1.2.1", ehr="gone"), new_exam("1.2.2")], MODEL.key, NOW)
    for _ in range(2):
        job = claimed(store)
        store.save_score(job, scored(job.study_uid or ""))

    assert report_all(engine) == 2
    assert deliveries(engine) == 1


def test_a_setting_with_which_nothing_can_be_written_is_told_and_the_last_assessment_stands(
    engine: Engine, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    exam(store, 2025, 0.066)
    report_all(engine)
    exam(store, 2026, 0.066)
    site = Site(identifier_system=" ")
    broken = Reporter(AssessmentRecords(engine), MODEL, join, {EHR: ReportedEhr(site, CHART)}, Clock())

    assert broken.report_next()
    assert not broken.report_next()
    assert "an assessment cannot be made, the last one stands: " in caplog.text
    assert [kept.current for kept in conclusions(engine)] == [True]


def test_an_unforeseen_fault_with_one_patient_does_not_keep_the_next_one(
    engine: Engine, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    exam(store, 2025, 0.066, "p1")
    exam(store, 2026, 0.066, "p2")

    def breaks_once(exams: Iterable[ScoredExam]) -> Trajectory | None:
        exams = list(exams)
        if exams[0].study_uid == "1.2.2025":
            raise RuntimeError("MRN-1")
        return join(exams)

    ehrs = {EHR: ReportedEhr(SITE, CHART)}
    working = Reporter(AssessmentRecords(engine), MODEL, breaks_once, ehrs, Clock())
    assert [working.report_next() for _ in range(3)] == [True, True, False]

    assert [kept.patient_id for kept in conclusions(engine)] == ["p2"]
    assert "RuntimeError" in caplog.text
    assert "MRN-1" not in caplog.text


def test_what_was_concluded_in_silence_is_written_once_the_site_writes(engine: Engine, store: Store) -> None:
    exam(store, 2026, 0.066)
    reporter(engine, destinations=frozenset()).report_next()

    for _ in range(2):
        reporter(engine).catch_up()
        report_all(engine)

    assert deliveries(engine) == 1
    assert len(conclusions(engine)) == 1


def test_what_is_written_after_the_silence_says_what_must_be_said_now(engine: Engine, store: Store) -> None:
    clinical = replace(MODEL, clinical=True)
    store.register([new_exam()], MODEL.key, NOW)
    store.save_score(claimed(store), scored_by(clinical))

    def working(mode: Mode, destinations: frozenset[Destination]) -> Reporter:
        ehrs = {EHR: ReportedEhr(Site(mode=mode), destinations)}
        return Reporter(AssessmentRecords(engine), clinical, join, ehrs, Clock())

    assert working(Mode.SILENT, frozenset()).report_next()
    written = working(Mode.RESEARCH, CHART)
    written.catch_up()
    assert written.report_next()

    delivery = OutboxRecords(engine).claim(NOW, LEASE)
    assert delivery is not None
    assert RESEARCH_BANNER in delivery.resource["note"][0]["text"]
    assert RESEARCH_BANNER not in conclusions(engine)[0].resource["note"][0]["text"]


def test_an_exam_that_turns_out_to_show_another_woman_goes_from_the_chart_and_the_worklist(
    engine: Engine, store: Store
) -> None:
    for year, five_year in ((2025, 0.016), (2026, 0.066)):
        exam(store, year, five_year)
        report_all(engine)
    store.reopen_study("1.2.2026", NOW)
    pacs = FakeArchive({"1.2.2026": screening_exam("1.2.2026", patient_id="STRANGER")})

    held = Preparation(pacs, FakeScorer(), Clock(), StageTimes()).prepared(claimed(store))
    assert isinstance(held, Held)
    store.save_failure(held.job, held.problem, NOW)
    report_all(engine)

    assert [(kept.study_uid, kept.status, kept.current) for kept in conclusions(engine)] == [
        ("1.2.2025", "final", True),
        ("1.2.2026", "final", False),
        ("1.2.2026", "entered-in-error", False),
    ]
    assert [kept.study_uid for kept in AssessmentRecords(engine).current(MODEL.key)] == ["1.2.2025"]


# Earlier exams that the EHR did not list


class Priors:
    """Finds these exams at the first look."""

    def __init__(self, store: Store, *years: int) -> None:
        self.store, self.years = store, list(years)
        self.looks = 0

    def find(self, ehr: str, patient_id: str) -> int:
        """Registers them."""
        self.looks += 1
        exams = [new_exam(f"1.2.{year}", patient_id, performed_on=date(year, 5, 3)) for year in self.years]
        return self.store.register(exams, MODEL.key, NOW)


def test_earlier_exams_are_looked_for_and_scored_before_anything_is_concluded(engine: Engine, store: Store) -> None:
    exam(store, 2026, 0.066)
    priors = Priors(store, 2024, 2025)

    assert report_all(engine, priors) == 1
    assert conclusions(engine) == []
    while job := store.claim(MODEL.key, NOW, LEASE):
        store.save_score(job, scored(job.study_uid or "", 0.016, job.performed_on or date.min))
    report_all(engine, priors)

    (kept,) = conclusions(engine)
    assert kept.change == pytest.approx(0.05)
    assert priors.looks == 2


def test_that_earlier_exams_could_not_be_looked_for_is_part_of_the_assessment(
    engine: Engine, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    class Down:
        def find(self, ehr: str, patient_id: str) -> int:
            raise PacsUnreachable("the archive does not answer")

    caplog.set_level(logging.DEBUG)
    exam(store, 2026, 0.066)
    report_all(engine, Down())

    assert PRIORS_NOT_LOOKED_FOR in conclusions(engine)[0].resource["note"][0]["text"]
    assert not [secret for secret in (PATIENT + " ", "1.2.2026", "MRN-1") if secret in caplog.text]


@pytest.mark.parametrize(
    "fault", [UnicodeEncodeError("utf-8", "MRN-1", 0, 1, "no"), DataError("MRN-1", {}, Exception())]
)
def test_an_unforeseen_fault_in_looking_for_them_keeps_no_patient_from_her_assessment(
    engine: Engine, store: Store, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    class Odd:
        def find(self, ehr: str, patient_id: str) -> int:
            raise fault

    exam(store, 2026, 0.066)
    report_all(engine, Odd())

    assert PRIORS_NOT_LOOKED_FOR in conclusions(engine)[0].resource["note"][0]["text"]
    assert "MRN-1" not in caplog.text


# Whatever the order


@settings(max_examples=25, deadline=None)
@given(
    order=st.permutations([(2022, 0.015), (2023, 0.016), (2024, 0.02), (2025, 0.03)]),
    pauses=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_whatever_the_order_in_which_exams_are_scored_the_last_word_is_the_same(
    order: list[tuple[int, float]], pauses: list[bool]
) -> None:
    engine = open_database("sqlite://")
    store = Store(engine)
    for (year, five_year), pause in zip(order, pauses, strict=True):
        exam(store, year, five_year, scored_at=NOW + timedelta(seconds=year))
        if pause:
            report_all(engine)
    report_all(engine)

    (current,) = AssessmentRecords(engine).current(MODEL.key)
    assert (current.study_uid, current.five_year, current.newly_over) == ("1.2.2025", 0.03, False)
    assert current.change == pytest.approx(0.015)
    assert isinstance(store.scored(EHR, PATIENT, "1.2.2025", MODEL.key), ScoredExam)
    engine.dispose()
