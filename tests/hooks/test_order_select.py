"""The order-select service: which calls it answers, what it asks for, and what it says."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.orders import usual_order_codes
from hooks.contract import Card, ContractError, HookRequest
from hooks.order_select import SERVICE, concerns
from hooks.prefetch import PREFETCH
from model.domain import Assessment
from tests.hooks.builders import (
    DIAGNOSTIC,
    MRI,
    SCREENING,
    call,
    order_select,
    order_select_body,
    service_request,
)


def is_concerned(request: HookRequest) -> bool:
    return concerns(request, usual_order_codes())


def answered(request: HookRequest) -> tuple[Card, ...]:
    return SERVICE.answer(call(request))


def test_a_selected_screening_mammogram_deserves_an_answer() -> None:
    assert is_concerned(order_select()) is True


@pytest.mark.parametrize(
    "drafted",
    [
        service_request(DIAGNOSTIC),
        service_request(MRI),
        service_request("73721"),
        service_request(None),
        {"resourceType": "ServiceRequest", "id": "d1", "code": {"text": "screening mammogram"}},
        {"resourceType": "ServiceRequest", "id": "d1"},
        {"resourceType": "MedicationRequest", "id": "d1"},
        {"resourceType": "NutritionOrder", "id": "d1"},
    ],
)
def test_other_orders_are_none_of_our_business(drafted: dict[str, Any]) -> None:
    assert is_concerned(order_select(drafted)) is False


def test_Q12_a_screening_draft_that_is_not_selected_is_background() -> None:
    drafts = service_request(SCREENING, "d1"), service_request("73721", "d2")
    assert is_concerned(order_select(*drafts, selections=("ServiceRequest/d2",))) is False
    assert is_concerned(order_select(*drafts, selections=("ServiceRequest/d2", "ServiceRequest/d1"))) is True


@pytest.mark.parametrize("selections", [(), ("MedicationRequest/d1",), (7, None), ("",)])
def test_a_selection_of_nothing_known_needs_no_answer_and_the_log_counts_it(
    selections: tuple[object, ...], caplog: pytest.LogCaptureFixture
) -> None:
    assert is_concerned(order_select(selections=selections)) is False
    told = f"order-select: selections that name none of the draft orders: {len(selections)}"
    assert caplog.messages == ([told] if selections else [])


@pytest.mark.parametrize(("full_url", "is_named"), [("urn:uuid:a-1", True), (None, False), ("urn:uuid:a-2", False)])
def test_a_draft_that_has_no_id_yet_is_selected_by_its_fullurl(full_url: str | None, is_named: bool) -> None:
    body = order_select_body(selections=("urn:uuid:a-1",))
    (entry,) = body["context"]["draftOrders"]["entry"]
    del entry["resource"]["id"]
    entry["fullUrl"] = full_url
    assert is_concerned(HookRequest.from_json(body)) is is_named


def test_a_draft_for_another_patient_is_none_of_this_calls_business() -> None:
    assert is_concerned(order_select(service_request(SCREENING, patient_id="p2"))) is False


@pytest.mark.parametrize("member", ["userId", "patientId", "selections", "draftOrders"])
@pytest.mark.parametrize("broken", ["missing", None, 7, ""])
def test_Q2_what_order_select_requires_is_missed_by_name(member: str, broken: object) -> None:
    body = order_select_body()
    if broken == "missing":
        del body["context"][member]
    else:
        body["context"][member] = broken
    with pytest.raises(ContractError, match=member):
        is_concerned(HookRequest.from_json(body))


def test_draft_orders_that_are_no_bundle_are_refused() -> None:
    body = order_select_body()
    body["context"]["draftOrders"] = {"resourceType": "ServiceRequest"}
    with pytest.raises(ContractError, match="draftOrders"):
        is_concerned(HookRequest.from_json(body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resourceType", "resource", "entry", "code", "coding", "id", "concept", "reasonCode"]),
            parts,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(entry=JSON, selections=JSON)
def test_whatever_is_drafted_or_selected_is_answered_or_refused(entry: object, selections: object) -> None:
    body = order_select_body(selections=selections)
    body["context"]["draftOrders"]["entry"] = entry
    with contextlib.suppress(ContractError):
        assert is_concerned(HookRequest.from_json(body)) in (True, False)


def test_a_patient_id_written_as_a_reference_finds_the_same_drafts() -> None:
    body = order_select_body()
    body["context"]["patientId"] = "Patient/p1"
    request = HookRequest.from_json(body)
    assert is_concerned(request) is True
    assert len(answered(request)) == 1


def test_the_answer_offers_an_mri_order_and_a_risk_assessment() -> None:
    (card,) = answered(order_select())
    assert [s.actions[0].resource["resourceType"] for s in card.suggestions if s.actions[0].resource] == [
        "ServiceRequest",
        "RiskAssessment",
    ]


def test_an_mri_drafted_but_not_selected_is_not_suggested_again() -> None:
    (card,) = answered(order_select(service_request(SCREENING, "d1"), service_request(MRI, "d2")))
    assert card.summary.endswith("breast MRI already in the draft orders")


def test_a_prohibition_of_screening_is_none_of_our_business() -> None:
    assert is_concerned(order_select(service_request(SCREENING) | {"doNotPerform": True})) is False


def test_a_draft_that_could_not_be_read_may_be_an_mri_and_the_card_says_so() -> None:
    (card,) = answered(order_select(service_request(SCREENING), {}))
    assert "Whether a breast MRI of the last 12 months is on record is not known" in card.detail
    assert "Whether a diagnostic mammogram about the judged exam or since is on record is not known" in card.detail
    assert card.detail.count("- Draft orders: 1 entry could not be read.") == 1


def test_an_mri_among_the_drafts_is_not_suggested_again_whatever_draft_was_not_read() -> None:
    (card,) = answered(order_select(service_request(SCREENING), service_request(MRI, "d2"), {}))
    assert card.summary.endswith("breast MRI already in the draft orders")
    assert "- Draft orders: 1 entry could not be read." in card.detail


def test_a_patient_without_exams_gets_no_card() -> None:
    assert SERVICE.answer(call(order_select(), Assessment())) == ()


def test_the_chart_of_another_patient_is_never_answered_with() -> None:
    body = order_select_body(service_request(SCREENING, patient_id="p2"))
    body["context"]["patientId"] = "p2"
    with pytest.raises(ContractError, match="not of the patient"):
        answered(HookRequest.from_json(body))


@pytest.mark.parametrize(("patient", "is_hers"), [("p1", True), ("Patient/p1", True), (None, True), ("p2", False)])
def test_F3_a_token_for_another_patient_is_not_used(patient: str | None, is_hers: bool) -> None:
    body = order_select_body() | {"fhirAuthorization": {"access_token": "t", "patient": patient}}
    expected = contextlib.nullcontext() if is_hers else pytest.raises(ContractError, match="another patient")
    with expected:
        assert is_concerned(HookRequest.from_json(body))


def test_P1_the_prefetch_keys_are_those_a_chart_is_read_from() -> None:
    assert list(PREFETCH) == [
        "patient",
        "mammograms",
        "conditions",
        "procedures",
        "orders",
        "allergies",
        "observations",
    ]
    assert PREFETCH["patient"] == "Patient/{{context.patientId}}"
    assert PREFETCH["mammograms"] == "ImagingStudy?patient={{context.patientId}}&modality=MG&_sort=-started&_count=20"


def test_D3_the_service_is_announced_under_its_hook() -> None:
    announced = SERVICE.to_json()
    assert (announced["id"], announced["hook"]) == ("breast-risk-order-select", "order-select")
