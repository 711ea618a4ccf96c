"""Orders, drafts and what they order."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_mappings.codes import CPT, HCPCS, ICD_10_CM, LOINC, SNOMED, Coding
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.orders import (
    Order,
    draft_orders,
    is_breast_mri,
    is_screening_mammography,
    read_orders,
    selected,
    usual_order_codes,
)
from tests.fhir_mappings.fhir_json import PATIENT, Json, bundle, concept, outcome, service_request

USUAL = usual_order_codes()


def order(*codes: tuple[str, str], reasons: tuple[tuple[str, str], ...] = ()) -> Order:
    """An order read from a ServiceRequest with these codes."""
    written = [{"system": system, "code": code} for system, code in codes]
    given = service_request(code="", reasonCode=[concept(*reason) for reason in reasons])
    return read_orders([{**given, "code": {"coding": written}}], PATIENT).orders[0]


def context(*drafts: Any, selections: Any = ()) -> Json:
    """An order-select context."""
    return {"userId": "Practitioner/d", "patientId": PATIENT, "selections": selections, "draftOrders": bundle(*drafts)}


def screens(of: Order) -> bool:
    """Whether the codes that come with the program call an order screening."""
    return is_screening_mammography(of, USUAL)


def images_by_mri(of: Order) -> bool:
    """Whether the codes that come with the program call an order a breast MRI."""
    return is_breast_mri(of, USUAL)


def test_a_sites_own_codes_are_added_under_the_usual_name_of_their_system() -> None:
    own = USUAL.adding(breast_mri=[Coding("urn:oid:2.16.840.1.113883.6.12", "1"), Coding("urn:s", "2")])
    assert own.breast_mri.codes == USUAL.breast_mri.codes | {(CPT, "1"), ("urn:s", "2")}
    assert own.screening_mammography == USUAL.screening_mammography
    assert is_breast_mri(order(("urn:oid:2.16.840.1.113883.6.12", "1")), own)


@pytest.mark.parametrize(
    "code", [(CPT, "77067"), (CPT, "77063"), (HCPCS, "G0202"), (LOINC, "24606-6"), (SNOMED, "24623002")]
)
def test_screening_codes_are_screening(code: tuple[str, str]) -> None:
    assert screens(order(code))
    assert screens(order(("https://site.example/orders", "MAMMO"), code))


@pytest.mark.parametrize(
    "code",
    [
        (CPT, "77066"),
        (LOINC, "26346-7"),
        (SNOMED, "241055006"),
        (SNOMED, "71651007"),
        (LOINC, "77067"),
        ("", "77067"),
        (CPT, "7706"),
        (CPT, "77049"),
    ],
)
def test_other_codes_are_not_screening(code: tuple[str, str]) -> None:
    assert not screens(order(code))


def test_a_diagnostic_code_on_the_same_order_wins() -> None:
    assert not screens(order((CPT, "77067"), (CPT, "77066")))
    assert not screens(order((CPT, "77066"), (CPT, "77067")))


def test_plain_mammography_is_screening_where_the_reason_says_so() -> None:
    screening = ((ICD_10_CM, "Z12.31"),)
    assert screens(order((SNOMED, "71651007"), reasons=screening))
    assert not screens(order((SNOMED, "71651007"), (CPT, "77066"), reasons=screening))
    assert not screens(order((CPT, "77049"), reasons=screening))
    assert screens(order((SNOMED, "71651007"), reasons=((ICD_10_CM, "Z1231"),)))


def test_a_site_adds_orders_that_say_neither_and_reasons_that_screen() -> None:
    catalogue, reason = ("urn:site", "MAMMO"), ("urn:site", "YEARLY")
    own = USUAL.adding(unspecified_mammography=[Coding(*catalogue)], screening_reasons=[Coding(*reason)])
    assert is_screening_mammography(order(catalogue, reasons=(reason,)), own)
    assert not is_screening_mammography(order(catalogue), own)
    assert not screens(order(catalogue, reasons=(reason,)))


def test_a_site_adds_its_own_order_code() -> None:
    site = ("https://site.example/orders", "MAMMO-SCR")
    codes = USUAL.adding(screening_mammography=[Coding(*site)])
    assert is_screening_mammography(order(site), codes)
    assert not screens(order(site))


@pytest.mark.parametrize(
    ("code", "expected"),
    [((CPT, "77049"), True), ((LOINC, "36277-2"), True), ((SNOMED, "241615005"), True), ((CPT, "77067"), False)],
)
def test_breast_mri_is_known_by_its_codes(code: tuple[str, str], expected: bool) -> None:
    assert images_by_mri(order(code)) is expected


@pytest.mark.parametrize(
    "code", [None, {}, {"coding": [{}]}, {"text": "Screening mammogram"}, "77067", 7, [], {"coding": "77067"}]
)
def test_an_order_without_a_readable_code_is_read_and_orders_nothing_we_know(code: object) -> None:
    (read,) = read_orders([service_request() | {"code": code}], PATIENT).orders
    assert read.codings == ()
    assert not screens(read)
    assert not images_by_mri(read)


def test_an_r5_shaped_code_and_reason_are_read() -> None:
    r5 = service_request(reason=[{"concept": concept(ICD_10_CM, "Z12.31")}])
    (read,) = read_orders([{**r5, "code": {"concept": concept(SNOMED, "71651007")}}], PATIENT).orders
    assert screens(read)


def test_an_order_is_read_with_status_intent_and_date() -> None:
    (read,) = read_orders(bundle(service_request(status="active", authoredOn="2026-05-03T10:00:00Z")), PATIENT).orders
    assert (read.resource, read.status, read.intent) == ("ServiceRequest/o1", "active", "order")
    assert read.authored_on is not None
    assert read.authored_on.is_exact


def test_withdrawn_orders_and_prohibitions_are_no_orders() -> None:
    requests = [service_request(status=status) for status in ("revoked", "entered-in-error")]
    assert read_orders(bundle(*requests, service_request(doNotPerform=True)), PATIENT).orders == ()


def test_an_order_of_unknown_status_is_still_an_order() -> None:
    assert len(read_orders([service_request(status=None), service_request(status="unknown")], PATIENT).orders) == 2


def test_an_order_sent_twice_is_one_order() -> None:
    assert len(read_orders([service_request(), service_request()], PATIENT).orders) == 1


def test_another_patients_orders_are_left_out_and_said_so() -> None:
    read = read_orders(bundle(service_request(patient_id="p2")), PATIENT)
    assert (read.orders, read.problems) == ((), ("left out 1 order of another patient",))


@pytest.mark.parametrize("answer", [None, outcome(), bundle(outcome())])
def test_orders_that_could_not_be_looked_up_are_not_none(answer: object) -> None:
    with pytest.raises(ResourceProblem):
        read_orders(answer, PATIENT)


def test_drafts_are_the_service_requests_among_the_draft_orders() -> None:
    drug = {"resourceType": "MedicationRequest", "id": "o1", "status": "draft"}
    drafts = draft_orders(context(drug, service_request(), {"resourceType": "Medication", "id": "m"}, None))
    assert [draft.reference for draft in drafts] == ["ServiceRequest/o1"]


def test_a_draft_may_lack_its_subject_but_not_name_another_patient() -> None:
    drafts = draft_orders(context(service_request(subject=None), service_request(patient_id="p2", id="o2")))
    assert [draft.reference for draft in drafts] == ["ServiceRequest/o1"]


@pytest.mark.parametrize("broken", [None, "x", {}, outcome()])
def test_draft_orders_that_are_no_bundle_are_a_problem(broken: object) -> None:
    with pytest.raises(ResourceProblem):
        draft_orders({"patientId": PATIENT, "draftOrders": broken})


@pytest.mark.parametrize(
    "selection",
    ["ServiceRequest/o1", "https://ehr.example/fhir/ServiceRequest/o1", "o1", "ServiceRequest/o1/_history/1"],
)
def test_a_selection_names_its_draft_in_every_form_met(selection: str) -> None:
    given = context(service_request(), service_request(id="o2"), selections=[selection])
    assert [draft.reference for draft in selected(draft_orders(given), given)] == ["ServiceRequest/o1"]


@pytest.mark.parametrize(
    "selections", [[], ["MedicationRequest/o1"], ["ServiceRequest/o9"], [None, 7, {}], "ServiceRequest/o1", None, [""]]
)
def test_what_is_not_selected_is_not_asked_about(selections: object) -> None:
    given = context(service_request(), service_request(id=None), selections=selections)
    assert selected(draft_orders(given), given) == ()


@pytest.mark.parametrize("kind", ["ProcedureRequest", "ReferralRequest", "DiagnosticOrder", "DiagnosticRequest"])
def test_orders_before_r4_are_refused_and_never_taken_for_none(kind: str) -> None:
    older = bundle(service_request(), {**service_request(), "resourceType": kind})

    with pytest.raises(ResourceProblem, match="before R4"):
        read_orders(older, PATIENT)
    with pytest.raises(ResourceProblem, match="before R4"):
        draft_orders({"patientId": PATIENT, "draftOrders": older})
