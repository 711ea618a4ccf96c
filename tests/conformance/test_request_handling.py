"""Section 4 of the checklist: what every service does with a call."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

from typing import Any

import pytest

from cds.errors import EhrRefused
from hooks import SERVICES
from tests.builders import imaging_study, operation_outcome, searchset
from tests.cds.builders import PATIENT, Json, prefetch, service_request
from tests.cds.web.calls import LEAVE, diagnostics
from tests.cds.web.conftest import FHIR_SERVER, TOKEN, Service
from tests.conformance.calls import CALLS, ORDER_SELECT, ORDER_SIGN, PATIENT_VIEW, address, whole

ONE_STUDY = searchset(imaging_study(PATIENT, "2026-05-03", "1.2.1", id="s-1.2.1"))
EPICS_NOTHING = searchset(operation_outcome("warning", "not-found"))
NEXT = [{"relation": "next", "url": f"{FHIR_SERVER}?page=2"}]
every_service = pytest.mark.parametrize("service_id", CALLS)


def call(service: Service, service_id: str, body: Any) -> Any:
    return service.client().post(address(service_id), json=body)


def cards(service: Service, service_id: str, body: Any) -> list[Json]:
    answer = call(service, service_id, body)
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.get_json()["cards"]
    return found


def said(service: Service, service_id: str, body: Any) -> list[tuple[str, str]]:
    """What the cards of a call say."""
    return [(card["summary"], card["detail"]) for card in cards(service, service_id, body)]


def queries() -> dict[str, str]:
    """The announced templates, filled as a client fills them."""
    return {key: template.replace("{{context.patientId}}", PATIENT) for key, template in SERVICES[0].prefetch.items()}


def lacking(service_id: str, key: str) -> Json:
    """A whole call without one key of its prefetch."""
    body = whole(service_id)
    del body["prefetch"][key]
    return body


def test_Q1_every_service_answers_where_discovery_says_that_it_is(service: Service) -> None:
    for one in service.client().get("/cds-services").get_json()["services"]:
        assert CALLS[one["id"]]()["hook"] == one["hook"]
        assert call(service, one["id"], whole(one["id"])).status_code == 200


@every_service
@pytest.mark.parametrize("member", ["hook", "hookInstance", "context"])
def test_Q2_a_call_without_a_required_member_is_a_bad_request(service: Service, service_id: str, member: str) -> None:
    body = whole(service_id)
    del body[member]

    assert member in diagnostics(call(service, service_id, body), 400)


@every_service
def test_Q2_a_token_without_the_server_that_it_is_for_is_sent_nowhere(service: Service, service_id: str) -> None:
    body = CALLS[service_id](fhirAuthorization=LEAVE)

    assert "patient" in diagnostics(call(service, service_id, body), 412)
    assert service.ehr.tokens == []


@every_service
def test_Q2_prefetch_may_be_left_out_altogether(service: Service, service_id: str) -> None:
    service.score(five_year=0.012)
    wanted = prefetch("1.2.1")
    service.ehr.answers = {query: wanted[key] for key, query in queries().items()}

    assert len(cards(service, service_id, CALLS[service_id](fhirServer=FHIR_SERVER, fhirAuthorization=LEAVE))) == 1


@pytest.mark.parametrize(("service_id", "called"), [(one, two) for one in CALLS for two in CALLS if one != two])
def test_Q3_a_call_of_another_hook_is_a_bad_request(service: Service, service_id: str, called: str) -> None:
    assert repr(CALLS[service_id]()["hook"]) in diagnostics(call(service, service_id, whole(called)), 400)


def with_unknown_members(value: Any) -> Any:
    """The same with an extension and a member that nobody knows on every object."""
    if isinstance(value, list):
        return [with_unknown_members(member) for member in value]
    if not isinstance(value, dict):
        return value
    added = {"extension": [{"url": "urn:x", "valueString": "y"}], "com.example.new": {"a": [1]}}
    return {name: with_unknown_members(part) for name, part in value.items()} | added


@every_service
def test_Q4_Q5_extensions_and_unknown_members_anywhere_change_nothing(service: Service, service_id: str) -> None:
    service.score()
    usual = said(service, service_id, whole(service_id))

    assert usual
    assert said(service, service_id, with_unknown_members(whole(service_id))) == usual


@every_service
def test_Q6_with_a_stored_score_and_a_whole_prefetch_nobody_is_waited_for(service: Service, service_id: str) -> None:
    service.score()

    assert len(cards(service, service_id, whole(service_id))) == 1
    assert (service.ehr.asked, service.sleeps) == ([], [])


@every_service
def test_Q6_a_score_that_is_being_made_is_waited_for_no_longer_than_was_set(service: Service, service_id: str) -> None:
    cards(service, service_id, whole(service_id))

    assert sum(service.sleeps) == pytest.approx(service.budget_s)


@every_service
@pytest.mark.parametrize("key", SERVICES[0].prefetch)
def test_Q7_Q10_what_the_prefetch_lacks_is_read_as_its_template_says(
    service: Service, service_id: str, key: str
) -> None:
    service.score()
    usual = said(service, service_id, whole(service_id))
    service.ehr.answers = {query: prefetch("1.2.1")[name] for name, query in queries().items()}

    assert said(service, service_id, lacking(service_id, key)) == usual
    assert service.ehr.asked == [queries()[key]]
    assert service.ehr.tokens[-1] == TOKEN


@every_service
def test_Q10_keys_that_no_template_asks_for_are_left_alone(service: Service, service_id: str) -> None:
    service.score()
    usual = said(service, service_id, whole(service_id))

    assert said(service, service_id, whole(service_id, allOrders=searchset(), x=7)) == usual


@every_service
@pytest.mark.parametrize("failed", [operation_outcome(), searchset(operation_outcome())])
@pytest.mark.parametrize("key", ["conditions", "procedures", "orders", "allergies", "observations"])
def test_Q8_an_error_in_place_of_a_part_is_said_on_the_card_and_never_taken_for_none(
    service: Service, service_id: str, failed: Json, key: str
) -> None:
    service.score()
    (card,) = cards(service, service_id, whole(service_id, **{key: failed}))
    words = f"{card['summary']} {card['detail']}"

    assert "could not be" in words or "read only in part" in words
    assert service.ehr.asked == [queries()[key]]


@every_service
@pytest.mark.parametrize("key", ["patient", "mammograms"])
@pytest.mark.parametrize("problem", [operation_outcome(), "left out"])
def test_Q8_Q9_required_data_that_cannot_be_had_is_a_failed_precondition(
    service: Service, service_id: str, key: str, problem: Any
) -> None:
    body = lacking(service_id, key) if problem == "left out" else whole(service_id, **{key: problem})
    service.ehr.answers[queries()[key]] = EhrRefused("the token does not cover this")

    assert key in diagnostics(call(service, service_id, body), 412)


@every_service
@pytest.mark.parametrize(
    ("value", "is_fetched"),
    [
        ("left out", True),
        (None, False),
        (searchset(), False),
        (EPICS_NOTHING, False),
        (operation_outcome(), True),
        ({**ONE_STUDY, "link": NEXT}, True),
    ],
)
def test_Q11_omitted_null_empty_failed_and_partial_are_told_apart(
    service: Service, service_id: str, value: Any, is_fetched: bool
) -> None:
    service.score(five_year=0.012)
    service.ehr.answers[queries()["mammograms"]] = ONE_STUDY
    body = lacking(service_id, "mammograms") if value == "left out" else whole(service_id, mammograms=value)

    assert len(cards(service, service_id, body)) == is_fetched
    assert service.ehr.asked == [queries()["mammograms"]] * is_fetched


def test_Q12_other_drafts_than_the_selected_ones_are_background(service: Service) -> None:
    service.score()
    body = whole(ORDER_SELECT)
    body["context"]["draftOrders"]["entry"] += [{"resource": service_request("73721", "d2")}, {}, {"resource": None}]
    assert len(cards(service, ORDER_SELECT, body)) == 1

    body["context"]["selections"] = ["ServiceRequest/d2"]
    assert cards(service, ORDER_SELECT, body) == []


@every_service
@pytest.mark.parametrize("encounter", [None, "e1", 7])
def test_Q12_the_encounter_may_be_left_out(service: Service, service_id: str, encounter: object) -> None:
    service.score()
    body = whole(service_id)
    body["context"]["encounterId"] = encounter

    assert len(cards(service, service_id, body)) == 1


@pytest.mark.parametrize("status", ["draft", "active", "on-hold", "unknown", None])
def test_Q13_what_is_signed_need_not_be_a_draft_and_is_not_selected(service: Service, status: str | None) -> None:
    service.score()
    body = whole(ORDER_SIGN)
    body["context"]["draftOrders"]["entry"][0]["resource"]["status"] = status

    assert "selections" not in body["context"]
    assert len(cards(service, ORDER_SIGN, body)) == 1


@pytest.mark.parametrize("kind", ["Practitioner", "PractitionerRole", "Patient", "RelatedPerson"])
def test_Q14_whoever_opens_the_chart_is_answered(service: Service, kind: str) -> None:
    service.score()
    body = whole(PATIENT_VIEW)
    body["context"]["userId"] = f"{kind}/u1"

    assert len(cards(service, PATIENT_VIEW, body)) == 1


@every_service
def test_Q15_a_call_need_not_say_which_fhir_it_speaks_and_may(service: Service, service_id: str) -> None:
    service.score()
    said_by_epic = {"com.epic.cdshooks.request.fhir-version": "R4", "extension": "R4"}

    assert len(cards(service, service_id, whole(service_id) | {"extension": said_by_epic})) == 1
