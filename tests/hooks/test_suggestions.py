"""What the two suggestions put into the chart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fhir_mappings.codes import Coding
from fhir_mappings.mri_orders import check_mri_order
from fhir_mappings.risk_assessments import check_risk_assessment
from hooks.card_details import NO_EARLIER_SCORE
from hooks.contract import ActionType, Suggestion
from hooks.policy import PolicyError
from hooks.site import Mode, Site
from hooks.suggestions import mri_suggestion, offer, risk_assessment_suggestion
from model.domain import Trajectory
from tests.hooks.builders import SITE, numbered, scored


def resource_of(suggestion: Suggestion) -> dict[str, Any]:
    (action,) = suggestion.actions
    assert action.type is ActionType.CREATE
    return dict(action.resource or {})


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

    found = offer(Trajectory((scored(),)), "p1", "Practitioner/dr1", site, numbered(), with_mri=with_mri)

    assert [resource_of(suggestion)["resourceType"] for suggestion in found.suggestions] == offered
