"""Calls that cannot be answered: each is refused with its status, and never breaks the service."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds.errors import EhrRefused, EhrUnreachable, UntrustedServer
from cds.store.tables import ScoringState
from fhir_mappings.codes import CPT
from tests.builders import imaging_study, operation_outcome, searchset
from tests.cds.builders import (
    IDENTIFIER,
    MODEL,
    PATIENT,
    claimed,
    fhir_patient,
    order_select,
    prefetch,
)
from tests.cds.web.calls import LEAVE, diagnostics, full
from tests.cds.web.conftest import URL, Service


def test_an_unknown_service_is_not_found(service: Service) -> None:
    answer = service.client().post("/cds-services/no-such-service", json=full())

    assert "not found" in diagnostics(answer, 404)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"not json", b"\xff\xfe\x00", b"[" * 100_000, b'{"hook":' + b"9" * 5000 + b"}"]
)
def test_a_body_that_is_not_json_is_a_bad_request(service: Service, body: bytes) -> None:
    answer = service.client().post(URL, data=body, content_type="application/json")

    assert diagnostics(answer, 400)


@pytest.mark.parametrize("body", [None, [], "text", 7, {}, {"hook": 5}, {"context": []}])
def test_json_that_is_no_hook_call_is_a_bad_request(service: Service, body: Any) -> None:
    answer = service.client().post(URL, data=json.dumps(body), content_type="application/json")

    assert diagnostics(answer, 400)


def test_a_call_for_another_hook_is_a_bad_request(service: Service) -> None:
    assert "'order-select'" in diagnostics(service.call(full() | {"hook": "patient-view"}), 400)


@pytest.mark.parametrize("missing", ["hook", "hookInstance", "context"])
def test_a_call_without_a_required_member_is_a_bad_request(service: Service, missing: str) -> None:
    body = full()
    del body[missing]

    assert missing in diagnostics(service.call(body), 400)


@pytest.mark.parametrize("missing", ["userId", "patientId", "selections", "draftOrders"])
def test_a_context_without_a_required_member_is_a_bad_request(service: Service, missing: str) -> None:
    body = full()
    del body["context"][missing]

    assert missing in diagnostics(service.call(body), 400)


@pytest.mark.parametrize("patient_id", ["../Patient/2", "p1?x=1", "p 1", "..", "\ud800", "p1\n", 5, None])
def test_a_patient_id_that_is_none_is_a_bad_request(service: Service, patient_id: object) -> None:
    body = full()
    body["context"]["patientId"] = patient_id

    assert "patientId" in diagnostics(service.call(body), 400)


LEFT_OUT = "left out"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("patient", value) for value in (LEFT_OUT, None, operation_outcome(), "junk", searchset())),
        *(("mammograms", value) for value in (LEFT_OUT, operation_outcome(), "junk", fhir_patient())),
    ],
)
def test_without_patient_or_mammograms_the_precondition_fails(service: Service, key: str, value: Any) -> None:
    body = order_select(prefetch=prefetch("1.2.1", **{key: value}))
    if value == LEFT_OUT:
        del body["prefetch"][key]

    assert key in diagnostics(service.call(body), 412)
    assert service.ehr.tokens == []


def test_mammograms_that_are_null_are_none(service: Service) -> None:
    assert service.cards(full(mammograms=None)) == []


@pytest.mark.parametrize("problem", [EhrRefused("no"), EhrUnreachable("no"), UntrustedServer("no")])
def test_an_ehr_that_does_not_give_the_patient_fails_the_precondition(service: Service, problem: Any) -> None:
    body = full()
    del body["prefetch"]["patient"]
    service.ehr.answers[f"Patient/{PATIENT}"] = problem

    assert "patient" in diagnostics(service.call(body), 412)


def test_the_record_of_another_patient_is_not_taken_for_hers(service: Service) -> None:
    assert diagnostics(service.call(full(patient=fhir_patient("p2"))), 412)
    assert service.store.count(MODEL.key, ScoringState.QUEUED) == 0


def test_mammograms_of_another_patient_are_neither_queued_nor_shown(service: Service) -> None:
    hers = imaging_study("p2", "2026-05-03", "1.2.1", id="s1")

    (card,) = service.cards(full(mammograms=searchset(hers)))

    assert "could not all be read" in card["summary"]
    assert service.store.count(MODEL.key, ScoringState.QUEUED) == 0


@pytest.mark.parametrize(
    "server",
    ["https://evil.example/r4", "https://ehr.example/r4/other", "http://ehr.example/r4", "https://u@ehr.example/r4"],
)
def test_a_server_that_is_not_listed_gets_no_answer_and_no_token(service: Service, server: str) -> None:
    diagnostics(service.call(full() | {"fhirServer": server}), 403)

    assert service.ehr.tokens == []


def test_without_a_server_a_call_can_only_be_of_the_only_ehr(service: Service) -> None:
    body = order_select(prefetch=prefetch("1.2.1"))
    assert service.cards(body)

    service.with_other_ehr("ehr-2", "https://other.example/r4")
    assert "more than one EHR" in diagnostics(service.call(body), 400)


def test_a_token_for_another_patient_is_a_bad_request(service: Service) -> None:
    body = full() | {"fhirAuthorization": LEAVE | {"patient": "p2"}}

    assert "another patient" in diagnostics(service.call(body), 400)


# Text that no database keeps

ACSN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
WADO = {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "dicom-wado-rs"}


def mammogram_with(broken: str) -> Any:
    """A study with the text in its accession number, in its endpoint and, where there is one, in its reference."""
    study = imaging_study(PATIENT, "2026-05-03", "1.2.1", id=f"s{broken}", endpoint=[{"reference": "#e"}])
    study["identifier"].append({"type": ACSN, "value": f"A{broken}1"})
    held = {"resourceType": "Endpoint", "id": "e", "status": "active", "connectionType": WADO}
    return searchset({**study, "contained": [{**held, "address": f"https://pacs.example/{broken}x"}]})


@pytest.mark.parametrize("broken", ["\ud800", "\0", "\0\ud83d"])
def test_half_a_surrogate_pair_and_nul_are_taken_for_absent_and_the_exam_is_queued(
    service: Service, broken: str
) -> None:
    patient = fhir_patient(identifier=[{"value": f"x{broken}y"}, {"value": IDENTIFIER}])

    (card,) = service.cards(full(patient=patient, mammograms=mammogram_with(broken)))

    assert "under way" in card["summary"]
    job = claimed(service.store, service.clock())
    assert (job.study_uid, job.dicomweb_root, job.patient_identifiers) == ("1.2.1", None, (IDENTIFIER,))


# Whatever comes

HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["Patient/p1", "\ud800", "\x00"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


def replaced(body: Any, path: list[int], value: object) -> Any:
    """The body with one part of it replaced."""
    if not path or not isinstance(body, dict | list) or not body:
        return value
    keys: list[Any] = list(body) if isinstance(body, dict) else list(range(len(body)))
    key = keys[path[0] % len(keys)]
    copy: Any = body.copy()
    copy[key] = replaced(body[key], path[1:], value)
    return copy


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.lists(st.integers(0, 8), min_size=1, max_size=8), value=HOSTILE)
def test_whatever_one_part_of_a_call_is_replaced_by_the_service_never_breaks(
    service: Service, path: list[int], value: object
) -> None:
    service.budget_s = 0.0
    body = full()
    body["context"]["draftOrders"]["entry"].append(
        {"resource": {"code": {"coding": [{"system": CPT, "code": "77049"}]}}}
    )

    answer = service.call(replaced(body, path, value))

    assert answer.status_code in (200, 400, 403, 412), answer.text
    assert answer.json is not None
    assert ("cards" in answer.json) == (answer.status_code == 200)
