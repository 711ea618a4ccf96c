"""Who comes first, where a site has fewer MRI places than women over its threshold."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from cds.listing import Form, write
from cds.store.assessments import AssessmentRecords
from cds.store.cards import CardRecords
from cds.store.tables import Feedback, ShownCard
from cds.worklist import Entry, as_table, worklist
from fhir_mappings.access_events import AccessEvent, Action, WebCall
from hooks.case import Comparator, MriPolicy
from hooks.reasoning import Reasoning
from tests.cds.builders import EHR, MODEL, NOW, conclusion

EXAM_DAY = datetime(2026, 5, 3, 12, tzinfo=NOW.tzinfo)


def conclude(engine: Engine, patient_id: str, five_year: float, **changes: object) -> None:
    concluded = conclusion(f"1.2.{patient_id}", five_year, **changes)
    AssessmentRecords(engine).assess(EHR, patient_id, MODEL.key, NOW, lambda *_: concluded, ())


def listed(engine: Engine, threshold: float = 0.017) -> list[Entry]:
    return worklist(AssessmentRecords(engine), CardRecords(engine), MODEL.key, lambda risk: risk > threshold)


def accept(
    engine: Engine,
    patient_id: str,
    resource: str,
    at: datetime,
    outcome: str = "accepted",
    study_uid: str | None = None,
    judged: str | None = None,
) -> None:
    """A card with one suggestion, and what was done with it."""
    suggestion = {"uuid": "s1", "label": "x", "resource": resource}
    uuid = f"card of {patient_id} {resource} {at}"
    card = ShownCard(
        uuid=uuid,
        ehr=EHR,
        patient_id=patient_id,
        service="s",
        summary="x",
        indicator="info",
        study_uid=study_uid,
        suggestions=[suggestion],
        reasoning=Reasoning(judged=judged).to_json(),
        made_at=at,
    )
    given = Feedback(card=uuid, outcome=outcome, outcome_at=at.isoformat(), accepted=["s1"], received_at=at)
    records = CardRecords(engine)
    records.save([card], AccessEvent(Action.ANSWERED, at, EHR, patient_id))
    records.save_feedback([given], EHR, WebCall("feedback"))


def test_everyone_over_the_threshold_is_listed_highest_first_and_nobody_else(engine: Engine) -> None:
    for patient_id, five_year in (("p1", 0.02), ("p2", 0.066), ("p3", 0.017), ("p4", 0.005)):
        conclude(engine, patient_id, five_year)

    assert [(entry.patient_id, entry.five_year_percent) for entry in listed(engine)] == [("p2", 6.6), ("p1", 2.0)]


def test_the_threshold_is_the_one_of_today(engine: Engine) -> None:
    conclude(engine, "p1", 0.02)

    assert listed(engine, threshold=0.03) == []
    assert len(listed(engine, threshold=0.01)) == 1


def test_a_suggestion_accepted_on_the_morning_of_the_exam_counts_where_it_is_still_yesterday_in_utc(
    engine: Engine,
) -> None:
    conclude(engine, "p1", 0.066)
    accept(engine, "p1", "ServiceRequest", EXAM_DAY - timedelta(hours=13), study_uid="1.2.earlier")
    assert len(listed(engine)) == 1

    accept(engine, "p1", "ServiceRequest", EXAM_DAY - timedelta(hours=12, minutes=30), study_uid="1.2.p1")
    assert listed(engine) == []


def test_a_suggestion_is_of_the_score_that_was_judged_also_where_its_card_is_about_a_newer_exam(engine: Engine) -> None:
    conclude(engine, "p1", 0.066)
    morning = EXAM_DAY - timedelta(hours=12, minutes=30)
    accept(engine, "p1", "ServiceRequest", morning, study_uid="1.2.refused", judged="1.2.p1")
    assert listed(engine) == []


def test_only_a_patients_newest_conclusion_counts(engine: Engine) -> None:
    conclude(engine, "p1", 0.066)
    AssessmentRecords(engine).assess(EHR, "p1", MODEL.key, NOW, lambda *_: conclusion("1.2.9", 0.01), ())

    assert listed(engine) == []


def test_what_is_newly_over_and_what_rises_is_marked(engine: Engine) -> None:
    conclude(engine, "p1", 0.066, newly_over=True, rising=True, change=0.045, years=6.0)

    (entry,) = listed(engine)
    assert (entry.newly_over, entry.rising, entry.over_years) == (True, True, 6.0)
    assert entry.change_points == pytest.approx(4.5)


def test_whoever_had_an_mri_suggestion_accepted_since_her_exam_is_not_listed(engine: Engine) -> None:
    for patient_id in ("p1", "p2", "p3", "p4"):
        conclude(engine, patient_id, 0.02)
    accept(engine, "p1", "ServiceRequest", EXAM_DAY)
    accept(engine, "p2", "ServiceRequest", EXAM_DAY - timedelta(days=1))
    accept(engine, "p3", "RiskAssessment", EXAM_DAY)
    accept(engine, "p4", "ServiceRequest", EXAM_DAY, outcome="overridden")

    assert sorted(entry.patient_id for entry in listed(engine)) == ["p2", "p3", "p4"]


ENTRY = Entry("main", "p1", "2026-05-03", 6.6, 4.5, 6.0, True, True, "m")


def written(form: Form, *entries: Entry, policy: MriPolicy = MriPolicy()) -> str:  # noqa: B008 - frozen
    out = StringIO()
    write(entries, Entry, form, out, partial(as_table, policy=policy))
    return out.getvalue()


def test_as_json_the_numbers_are_as_they_are() -> None:
    assert json.loads(written(Form.JSON, ENTRY))[0]["five_year_percent"] == 6.6


def test_as_csv_every_column_has_its_name() -> None:
    (row,) = csv.DictReader(StringIO(written(Form.CSV, ENTRY)))

    assert (row["patient_id"], row["change_points"], row["newly_over"]) == ("p1", "4.5", "True")
    assert written(Form.CSV).startswith("ehr,patient_id,")


@given(patient_id=st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1))
def test_no_id_from_outside_becomes_a_formula_of_a_spreadsheet(patient_id: str) -> None:
    out = written(Form.CSV, Entry("main", patient_id, "2026-05-03", 6.6, None, 0.0, False, False, "m"))
    (row,) = csv.DictReader(StringIO(out))

    assert row["patient_id"].removeprefix("'") == patient_id.removeprefix("'")
    assert row["patient_id"][0] not in "=+-@"


def test_the_table_shows_score_change_and_remarks() -> None:
    shown = " ".join(written(Form.TABLE, ENTRY).split())

    assert "6.6 %" in shown
    assert "+4.5 in 6.0 years" in shown
    assert "newly over" in shown
    assert "2026-05-03" in shown


def test_the_table_says_when_a_rise_is_marked_and_that_it_is_not_where_none_is_measured() -> None:
    measured, not_measured = (
        " ".join(written(Form.TABLE, ENTRY, policy=MriPolicy(minimum_detectable_change=one)).split())
        for one in (0.005, None)
    )

    assert "Rising: by the minimum detectable change of the settings or more." in measured
    assert "Rising:" not in not_measured
    assert "None is marked as rising" in not_measured


def test_the_table_has_the_words_of_the_cards() -> None:
    minimum = MriPolicy(comparator=Comparator.AT_LEAST, minimum_detectable_change=0.005)
    just_over = replace(ENTRY, five_year_percent=1.7004, change_points=-0.04)
    by_default, by_minimum = (
        " ".join(written(Form.TABLE, just_over, policy=one).split()) for one in (MriPolicy(), minimum)
    )

    assert "5-year score over 1.7 %, without an MRI suggestion acted on" in by_default
    assert "5-year score at least 1.7 %, without an MRI suggestion acted on" in by_minimum
    assert "1.7004 %" in by_default
    assert "0.0 in 6.0 years" in by_default
    assert "-0.0" not in by_default
    assert "no measurable change in 6.0 years" in by_minimum
