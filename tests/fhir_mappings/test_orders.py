"""Orders, drafts and what they order."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from fhir_mappings.codes import CPT, HCPCS, ICD_10_CM, LOINC, SNOMED, Coding
from fhir_mappings.dates import PartialDate, parse_partial_date
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.orders import (
    Order,
    Orders,
    done_orders,
    draft_orders,
    is_breast_mri,
    is_other_mammography,
    is_screening_mammography,
    read_orders,
    selected,
    unmatched_selections,
    usual_order_codes,
)
from tests.fhir_mappings.fhir_json import PATIENT, Json, bundle, concept, outcome, procedure, service_request

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
    assert read.dated == parse_partial_date("2026-05-03")


WHEN = [
    ({"authoredOn": "2026-05-03", "occurrenceDateTime": "2025-01-01"}, "2026-05-03"),
    ({"authoredOn": "2025-04-10", "occurrenceDateTime": "2026-05-28"}, "2026-05-28"),
    ({"authoredOn": "2025-04-10", "occurrencePeriod": {"start": "2026-05-01", "end": "2026-05-28"}}, "2026-05-28"),
    ({"authoredOn": "2025-04-10", "occurrencePeriod": {"start": "2026-05-01"}}, "2026-05-01"),
    ({"authoredOn": "2025-04-10", "occurrenceTiming": {"event": ["2026-05-28", "2026-05-01"]}}, "2026-05-28"),
    ({"authoredOn": "2020", "occurrenceTiming": {"repeat": {"boundsPeriod": {"end": "2026-05-28"}}}}, "2026-05-28"),
    ({"occurrenceDateTime": "2026-05-28"}, "2026-05-28"),
    ({"authoredOn": "2025-04-10", "occurrenceDateTime": "soon", "occurrenceTiming": {"event": 7}}, "2025-04-10"),
    ({"authoredOn": "2025", "occurrencePeriod": {"start": "2026"}}, "2026"),
    ({"authoredOn": "yesterday"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("said", "day"), WHEN)
def test_an_order_is_as_late_as_the_latest_day_it_names(said: Json, day: str | None) -> None:
    (read,) = read_orders([service_request(**said)], PATIENT).orders
    assert read.dated == parse_partial_date(day)


def test_of_inexact_days_an_order_is_as_late_as_it_must_and_as_it_may_be() -> None:
    (read,) = read_orders([service_request(authoredOn="2026", occurrenceDateTime="2026-05")], PATIENT).orders
    assert read.dated == PartialDate(date(2026, 5, 1), date(2026, 12, 31))


@pytest.mark.parametrize("element", ["performed", "occurrence"])
@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("DateTime", "2026-03-10"),
        ("Period", {"start": "2026-03-09", "end": "2026-03-10"}),
        ("Period", {"start": "2026-03-10"}),
    ],
)
def test_what_was_done_is_dated_in_r4_and_r5_as_an_order_is(element: str, named: str, said: object) -> None:
    (read,) = done_orders([procedure(CPT, "77049") | {f"{element}{named}": said}], PATIENT).orders
    assert (read.dated, images_by_mri(read)) == (parse_partial_date("2026-03-10"), True)


def test_a_procedure_that_was_not_done_is_none_and_another_patients_is_said_to_be_left_out() -> None:
    read = done_orders(bundle(procedure(CPT, "77049", patient_id="p2")), PATIENT)
    assert read == Orders(problems=("left out 1 procedure of another patient",))
    assert done_orders([procedure(CPT, "77049") | {"status": "not-done"}], PATIENT) == Orders()


def test_withdrawn_orders_are_no_orders() -> None:
    requests = [service_request(status=status) for status in ("revoked", "entered-in-error")]
    assert read_orders(bundle(*requests), PATIENT).orders == ()


def test_a_prohibition_screens_nobody_and_works_nothing_up_and_is_known_to_be_one() -> None:
    kinds = {"77067": screens, "77066": lambda read: is_other_mammography(read, USUAL), "77049": images_by_mri}
    for code, asks in kinds.items():
        ordered, forbidden = read_orders(
            [service_request(code), service_request(code, doNotPerform=True)], PATIENT
        ).orders
        assert (asks(ordered), ordered.do_not_perform) == (True, False)
        assert (asks(forbidden), forbidden.do_not_perform) == (code == "77049", True)


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
    read = draft_orders(context(drug, service_request(), {"resourceType": "Medication", "id": "m"}))
    assert [draft.order.resource for draft in read.drafts] == ["ServiceRequest/o1"]
    assert read.problems == ()


def test_a_draft_may_lack_its_subject_but_not_name_another_patient() -> None:
    read = draft_orders(context(service_request(subject=None), service_request(patient_id="p2", id="o2")))
    assert [draft.order.resource for draft in read.drafts] == ["ServiceRequest/o1"]


GROUP = {"resourceType": "RequestGroup", "id": "g", "contained": [service_request("77049")]}


@pytest.mark.parametrize(
    ("others", "more", "problem"),
    [
        ([outcome(), {}], {}, "the EHR answered with an error (error, exception)"),
        ([{}, None], {}, "2 entries could not be read"),
        ([], {"total": 5}, "it counts 5 results but holds 1, so it is not complete"),
        ([], {"link": [{"relation": "next", "url": "x"}]}, "further pages were not read, so it is not complete"),
        ([GROUP], {}, "left out 1 group of orders, unread"),
        ([GROUP, bundle(service_request("77049"))], {}, "left out 2 groups of orders, unread"),
    ],
)
def test_what_was_not_read_of_the_drafts_is_said(others: list[Any], more: Json, problem: str) -> None:
    read = draft_orders({"patientId": PATIENT, "draftOrders": bundle(service_request(), *others, **more)})
    assert [draft.order.resource for draft in read.drafts] == ["ServiceRequest/o1"]
    assert read.problems[0] == f"draft orders: {problem}"


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
    assert [draft.order.resource for draft in selected(draft_orders(given).drafts, given)] == ["ServiceRequest/o1"]


@pytest.mark.parametrize(
    ("full_url", "own_id", "selection"),
    [
        ("urn:uuid:a-1", None, "urn:uuid:a-1"),
        ("https://ehr.example/fhir/ServiceRequest/o1", None, "ServiceRequest/o1"),
        ("https://ehr.example/fhir/ServiceRequest/o1", None, "https://ehr.example/fhir/ServiceRequest/o1"),
        ("urn:uuid:a-1", "o1", "ServiceRequest/o1"),
        (None, "unsaved_1", "ServiceRequest/unsaved_1"),
        (None, "unsaved_1", "unsaved_1"),
    ],
)
def test_a_draft_that_is_not_saved_yet_is_known_by_its_fullurl_or_whatever_id_it_has(
    full_url: str | None, own_id: str | None, selection: str
) -> None:
    given = context(service_request(id="other"), selections=[selection])
    given["draftOrders"]["entry"].append({"fullUrl": full_url, "resource": service_request("77049", id=own_id)})
    (draft,) = selected(draft_orders(given).drafts, given)
    assert images_by_mri(draft.order)
    assert unmatched_selections(given) == 0


def test_selections_that_name_no_draft_of_whatever_kind_are_counted() -> None:
    drug = {"resourceType": "MedicationRequest", "id": "m1"}
    named = ["ServiceRequest/o1", "MedicationRequest/m1", "m1"]
    strangers: list[Any] = ["ServiceRequest/m1", "urn:uuid:9", "", None, {}]
    given = context(service_request(), drug, {}, selections=named + strangers)
    assert unmatched_selections(given) == len(strangers)


@pytest.mark.parametrize(
    "selections", [[], ["MedicationRequest/o1"], ["ServiceRequest/o9"], [None, 7, {}], "ServiceRequest/o1", None, [""]]
)
def test_what_is_not_selected_is_not_asked_about(selections: object) -> None:
    given = context(service_request(), service_request(id=None), selections=selections)
    assert selected(draft_orders(given).drafts, given) == ()


@pytest.mark.parametrize("kind", ["ProcedureRequest", "ReferralRequest", "DiagnosticOrder", "DiagnosticRequest"])
def test_orders_before_r4_are_unread_as_drafts_refused_and_never_taken_for_none(kind: str) -> None:
    older = bundle(service_request(), {**service_request(), "resourceType": kind}, outcome())

    read = read_orders(older, PATIENT)
    assert (read.orders, read.before_r4) == ((), True)
    assert "before R4" in read.problems[0]
    with pytest.raises(ResourceProblem, match="before R4"):
        draft_orders({"patientId": PATIENT, "draftOrders": older})
