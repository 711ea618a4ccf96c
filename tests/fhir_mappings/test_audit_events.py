"""Entries of the audit trail as AuditEvents."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_mappings.access_events import AccessEvent, AccessOutcome, Action, Read, ReadFrom, WebCall
from fhir_mappings.audit_codes import AUDIT_ENTRY, PATIENT_QUERY_PROFILE
from fhir_mappings.audit_events import AuditSource, ChainLink, audit_event, check_audit_event
from fhir_mappings.errors import ResourceProblem

AT = datetime(2026, 5, 20, 23, 30, 15, tzinfo=UTC)
LINK = ChainLink(7, sha256(b"{}").hexdigest(), "{}")
SOURCE = AuditSource("MammoTrend", "https://cds.example")
READS = (
    Read("Patient/{{context.patientId}}", ReadFrom.PREFETCH),
    Read("Condition?patient={{context.patientId}}&_count=100", ReadFrom.FHIR_SERVER),
)
CALL = WebCall("breast-risk-order-select", "192.0.2.7", "d1577c69-dfbe-44ad", "active", 2, READS)
ANSWERED = AccessEvent(Action.ANSWERED, AT, "main", "p1", "1.2.3", user_id="Practitioner/dr1", call=CALL)
REFUSED = AccessEvent(
    Action.CALLER_REFUSED, AT, None, None, outcome=AccessOutcome.REFUSED, call=WebCall("x", "192.0.2.9")
)


def written(event: AccessEvent = ANSWERED, source: AuditSource = SOURCE) -> dict[str, Any]:
    """The AuditEvent of an entry."""
    return audit_event(event, LINK, source)


def agents(resource: dict[str, Any]) -> dict[str, Any]:
    """The agents by the code of their type."""
    return {agent["type"]["coding"][0]["code"]: agent for agent in resource["agent"]}


def entities(resource: dict[str, Any]) -> dict[str, Any]:
    """The entities by the code of their type."""
    return {entity["type"]["code"]: entity for entity in resource.get("entity", [])}


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("outcome", AccessOutcome)
@pytest.mark.parametrize("call", [None, WebCall("page"), CALL])
def test_every_kind_of_entry_makes_a_valid_resource_of_plain_json(
    action: Action, outcome: AccessOutcome, call: WebCall | None
) -> None:
    resource = written(replace(ANSWERED, action=action, outcome=outcome, call=call))

    assert AuditEvent.model_validate(resource).action == resource["action"]
    assert json.loads(json.dumps(resource, allow_nan=False)) == resource
    assert resource["recorded"] == "2026-05-20T23:30:15Z"
    assert action.value in {coding["code"] for coding in resource["subtype"]}


def test_the_ehr_asks_the_service_for_a_user() -> None:
    found = agents(written())

    assert found["110153"]["who"] == {"display": "main"}
    assert found["110153"]["network"] == {"address": "192.0.2.7", "type": "2"}
    assert found["110152"]["network"] == {"address": "https://cds.example", "type": "5"}
    assert found["IRCP"]["who"] == {"reference": "Practitioner/dr1"}
    assert [code for code, agent in found.items() if agent["requestor"]] == ["IRCP"]


def test_a_user_who_is_named_by_no_reference_is_told_all_the_same() -> None:
    assert agents(written(replace(ANSWERED, user_id="jdoe")))["IRCP"]["who"] == {"identifier": {"value": "jdoe"}}


def test_what_nobody_asked_for_the_service_does_by_itself() -> None:
    (agent,) = written(AccessEvent(Action.SCORED, AT, "main", "p1", "1.2.3"))["agent"]

    assert (agent["who"], agent["requestor"]) == ({"display": "MammoTrend"}, True)


def test_the_patient_the_study_and_the_call_are_its_entities() -> None:
    found = entities(written())

    assert found["1"]["what"] == {"reference": "Patient/p1"}
    assert found["ImagingStudy"]["what"]["identifier"]["value"] == "urn:oid:1.2.3"
    assert found["hook-call"]["what"] == {"identifier": {"value": "d1577c69-dfbe-44ad"}}
    told = {detail["type"]: detail["valueString"] for detail in found["hook-call"]["detail"]}
    assert told == {"service": "breast-risk-order-select", "mode": "active", "cards": "2"}


def test_the_queries_of_a_call_are_one_entity_and_it_is_told_where_each_answer_came_from() -> None:
    query = entities(written())["2"]

    assert b64decode(query["query"]).decode() == "Patient/p1\nCondition?patient=p1&_count=100"
    first, second = query["description"].split("\n")
    assert first.endswith("came with the call")
    assert second.endswith("read from the EHR's FHIR server")


def test_a_call_without_any_card_is_told_as_one() -> None:
    call = entities(written(replace(ANSWERED, call=replace(CALL, cards=0))))["hook-call"]

    assert {"type": "cards", "valueString": "0"} in call["detail"]


def test_it_claims_the_profile_only_where_all_that_the_profile_requires_is_there() -> None:
    assert written()["meta"] == {"profile": [PATIENT_QUERY_PROFILE]}
    for less in (
        replace(ANSWERED, call=replace(CALL, address=None)),
        replace(ANSWERED, call=replace(CALL, reads=())),
        replace(ANSWERED, outcome=AccessOutcome.FAILED),
        replace(ANSWERED, patient_id=None),
        replace(ANSWERED, action=Action.FEEDBACK),
    ):
        assert "meta" not in written(less)
    assert "meta" not in written(source=AuditSource("MammoTrend"))


def test_what_claims_the_profile_has_each_of_its_slices_once() -> None:
    """IHE BALP 1.1, IHE.BasicAudit.PatientQuery: one client and server with their networks, one patient, one query."""
    resource = written()

    assert (resource["type"]["code"], resource["action"], resource["outcome"]) == ("rest", "E", "0")
    kinds = [agent["type"]["coding"][0]["code"] for agent in resource["agent"]]
    assert [kinds.count(code) for code in ("110153", "110152", "IRCP")] == [1, 1, 1]
    roles = [(entity["type"]["code"], entity.get("role", {}).get("code")) for entity in resource["entity"]]
    assert [kind for kind in roles if kind[0] in "12"] == [("1", "1"), ("2", "24")]


def test_a_refused_caller_is_a_security_alert_without_a_patient() -> None:
    resource = written(REFUSED)

    assert (resource["type"]["code"], resource["outcome"]) == ("110113", "8")
    assert agents(resource)["110153"]["network"]["address"] == "192.0.2.9"
    assert set(entities(resource)) == {"hook-call"}


def test_it_carries_what_ties_it_to_the_trail() -> None:
    (extension,) = written()["extension"]
    told = {part["url"]: part.get("valueString", part.get("valuePositiveInt")) for part in extension["extension"]}

    assert extension["url"] == AUDIT_ENTRY
    assert told["number"] == 7
    assert sha256(told["written"].encode("ascii")).hexdigest() == told["digest"]


def test_a_patient_who_has_no_legal_id_is_refused_and_not_named() -> None:
    with pytest.raises(ResourceProblem) as refused:
        written(replace(ANSWERED, patient_id="p/1?"))
    assert "p/1?" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"resourceType": "Patient"}, "not an AuditEvent"),
        ({"action": "X"}, "action must be one of"),
        ({"outcome": "1"}, "outcome must be one of"),
        ({"agent": [{"requestor": True}, {"requestor": True}]}, "only one agent"),
        ({"entity": [{"name": "a", "query": "YQ=="}]}, "sev-1"),
        ({"entity": [{"what": {"reference": "Group/1"}}]}, "must refer to Patient"),
        ({"outcomeDesc": ""}, "null or empty"),
    ],
)
def test_what_r4_forbids_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ResourceProblem, match=said):
        check_audit_event({**written(), **change})


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip),
    st.integers(0, 10**6),
)
@settings(deadline=None)  # a busy machine is slow, not wrong
def test_whatever_a_user_is_called_the_resource_is_valid(user_id: str, cards: int) -> None:
    resource = written(replace(ANSWERED, user_id=user_id, call=replace(CALL, cards=cards)))

    assert json.loads(json.dumps(resource, allow_nan=False)) == resource
