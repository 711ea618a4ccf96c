"""What the two suggestions put into the chart."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from fhir_mappings.chart import Chart
from fhir_mappings.circumstances import Circumstance
from fhir_mappings.codes import Coding
from fhir_mappings.histories import BreastHistory
from fhir_mappings.imaging_studies import ImagingHistory
from fhir_mappings.mri_orders import check_mri_order
from fhir_mappings.orders import Orders
from fhir_mappings.patients import Sex
from fhir_mappings.risk_assessments import check_risk_assessment
from hooks.card_details import NO_EARLIER_SCORE
from hooks.contract import ActionType, Suggestion
from hooks.policy import MriPolicy, PolicyError, recommend
from hooks.site import Mode, Site
from hooks.suggestions import mri_suggestion, offer, risk_assessment_suggestion
from model.domain import ScoredExam, Trajectory
from tests.hooks.builders import SITE, TODAY, chart, exam_reference, numbered, one_exam, scored
from tests.hooks.every_card import noted


def resource_of(suggestion: Suggestion) -> dict[str, Any]:
    (action,) = suggestion.actions
    assert action.type is ActionType.CREATE
    return dict(action.resource or {})


def resources(patient_chart: Chart, exam: ScoredExam, site: Site = SITE) -> list[dict[str, Any]]:
    """What is offered to be created for the one exam of a patient."""
    known = one_exam(exam)
    recommendation = recommend(patient_chart, known, (), site.policy, TODAY, site.order_codes)
    found = offer(Trajectory((exam,)), patient_chart, recommendation, "Practitioner/dr1", site, numbered())
    assert found.problems == ()
    return [resource_of(suggestion) for suggestion in found.suggestions]


def offered_types(patient_chart: Chart, exam: ScoredExam, site: Site = SITE) -> list[str]:
    return [resource["resourceType"] for resource in resources(patient_chart, exam, site)]


BEFORE_R4 = Orders(problems=("orders of FHIR before R4",), before_r4=True)
DOUBTED = noted(frozenset({Circumstance.RAISED_RISK}))
OF_2024 = replace(exam_reference(), study_uid=scored().study_uid, performed_on=date(2024, 5, 3))


def test_the_mri_suggestion_drafts_the_sites_own_order_and_is_recommended_in_active_mode() -> None:
    site = Site(Mode.ACTIVE, mri_order=Coding("urn:site", "MRBR1", "MRI breast both"), mri_intent="proposal")
    suggestion = mri_suggestion(scored(), "p1", "Practitioner/dr1", site, numbered())
    order = resource_of(suggestion)
    check_mri_order(order)
    assert suggestion.is_recommended is True
    assert (order["status"], order["intent"], order["code"]["coding"][0]["code"]) == ("draft", "proposal", "MRBR1")
    assert order["subject"] == {"reference": "Patient/p1"}
    assert order["supportingInfo"] == [{"reference": "ImagingStudy/s2026"}]


def test_the_default_order_is_cpt_77049_without_a_description() -> None:
    order = resource_of(mri_suggestion(scored(), "p1", "Practitioner/dr1", SITE, numbered()))
    assert order["code"]["coding"] == [{"system": "http://www.ama-assn.org/go/cpt", "code": "77049"}]


@pytest.mark.parametrize(("user", "requester"), [("PractitionerRole/r1", True), ("Patient/p1", False), ("dr1", False)])
def test_only_a_clinician_is_named_as_requester(user: str, requester: bool) -> None:
    assert ("requester" in resource_of(mri_suggestion(scored(), "p1", user, SITE, numbered()))) is requester


def test_the_risk_assessment_holds_five_percentages_and_is_not_recommended_over_anything() -> None:
    suggestion = risk_assessment_suggestion(Trajectory((scored(0.0625),)), "p1", SITE, numbered())
    resource = resource_of(suggestion)
    check_risk_assessment(resource)
    assert [p["probabilityDecimal"] for p in resource["prediction"]] == [1.25, 2.5, 3.75, 5.0, 6.25]
    assert suggestion.is_recommended is None


def test_the_banners_and_warnings_outlive_the_card_in_the_chart() -> None:
    exam = scored(warnings=("Device not validated.",))
    note = resource_of(risk_assessment_suggestion(Trajectory((exam,)), "p1", SITE, numbered()))["note"][0]["text"]
    assert note.startswith("Synthetic demonstration model. Not for clinical use. Research use.")
    assert "Device not validated." in note
    assert "Not for clinical use" in resource_of(mri_suggestion(exam, "p1", "x", SITE, numbered()))["note"][0]["text"]


def test_a_clinical_model_in_active_mode_leaves_no_banner() -> None:
    resource = resource_of(
        risk_assessment_suggestion(Trajectory((scored(clinical=True),)), "p1", Site(mode=Mode.ACTIVE), numbered())
    )
    assert [note["text"] for note in resource["note"]] == [NO_EARLIER_SCORE]


def test_an_intent_that_r4_does_not_mean_for_a_draft_of_ours_is_refused_at_once() -> None:
    with pytest.raises(PolicyError, match="mri_intent"):
        Site(mri_intent="plan")


@pytest.mark.parametrize(("with_mri", "offered"), [(True, ["ServiceRequest"]), (False, [])])
def test_where_assessments_are_written_by_themselves_no_card_offers_to(with_mri: bool, offered: list[str]) -> None:
    site = replace(SITE, assessment_offered=False)

    assert offered_types(chart() if with_mri else DOUBTED, scored(), site) == offered


@pytest.mark.parametrize(
    ("patient_chart", "exam"),
    [
        (chart(replaced=True), scored()),
        (chart(inactive=True), scored()),
        (chart(deceased=True), scored()),
        (chart(sex=Sex.MALE), scored()),
        (chart(mri_orders=BEFORE_R4), scored()),
        (replace(chart(), diagnostic_orders=BEFORE_R4), scored()),
        (chart(), scored(day=TODAY + timedelta(days=1))),
    ],
)
@pytest.mark.parametrize("risk", [0.012, 0.066])
def test_no_risk_assessment_is_offered_that_is_not_of_this_patient_or_not_for_this_chart(
    patient_chart: Chart, exam: ScoredExam, risk: float
) -> None:
    assert offered_types(patient_chart, replace(exam, score=scored(risk).score)) == []


def test_a_site_whose_model_is_made_for_men_too_may_record_theirs() -> None:
    site = replace(SITE, policy=MriPolicy(sexes=frozenset(Sex)))
    assert offered_types(chart(sex=Sex.MALE), scored(0.012), site) == ["RiskAssessment"]


@pytest.mark.parametrize(
    ("patient_chart", "exam", "said"),
    [
        (chart(history=BreastHistory(True, False)), scored(), "Breast cancer or carcinoma in situ is on record"),
        (chart(history=BreastHistory(False, True)), scored(), "Bilateral mastectomy is on record."),
        (noted(frozenset({Circumstance.RAISED_RISK})), scored(), "On record: hereditary risk of breast cancer."),
        (chart(), scored(day=date(2021, 5, 3)), "more than 24 months ago."),
        (chart(exams=ImagingHistory((OF_2024,))), scored(), "The EHR dates an exam 2024-05-03, its images 2026-05-03"),
    ],
)
def test_what_the_number_must_not_be_read_without_goes_into_the_chart_with_it(
    patient_chart: Chart, exam: ScoredExam, said: str
) -> None:
    (resource,) = [one for one in resources(patient_chart, exam) if one["resourceType"] == "RiskAssessment"]
    assert said in resource["note"][0]["text"]


def test_without_doubts_the_note_has_nothing_of_the_history() -> None:
    _, resource = resources(chart(), scored())
    assert resource["note"][0]["text"].endswith(NO_EARLIER_SCORE)
