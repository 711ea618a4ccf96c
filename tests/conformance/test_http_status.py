"""Section 7 of the checklist: which status says what."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome
from sqlalchemy import Engine, text

from cds.web.app import Front, create_app
from cds.web.limits import FrontLimits
from tests.builders import searchset
from tests.cds.builders import PATIENT
from tests.cds.web.conftest import TOKEN, Service
from tests.conformance.calls import CALLS, address, whole

every_service = pytest.mark.parametrize("service_id", CALLS)
AS_JSON = "application/json"
FAILURES = [
    ("POST", "{}", AS_JSON, 400),
    ("POST", "not json", AS_JSON, 400),
    ("GET", None, None, 405),
    ("DELETE", None, None, 405),
    ("POST", "<call/>", "application/xml", 415),
]


@every_service
def test_H1_a_call_is_answered_with_200_with_cards_and_without(service: Service, service_id: str) -> None:
    client = service.client()
    with_cards = client.post(address(service_id), json=whole(service_id))
    without = client.post(address(service_id), json=whole(service_id, mammograms=searchset()))

    assert (with_cards.status_code, len(with_cards.get_json()["cards"])) == (200, 1)
    assert (without.status_code, without.get_json()) == (200, {"cards": []})


@every_service
@pytest.mark.parametrize("key", ["patient", "mammograms"])
def test_H2_H4_what_is_needed_and_cannot_be_had_is_412(service: Service, service_id: str, key: str) -> None:
    body = whole(service_id)
    del body["prefetch"][key]

    answer = service.client().post(address(service_id), json=body)

    assert answer.status_code == 412
    OperationOutcome.model_validate(answer.get_json())


@every_service
@pytest.mark.parametrize(("method", "body", "said", "status"), FAILURES)
@pytest.mark.parametrize("end", ["", "/feedback"])
def test_H3_H4_a_failure_has_its_status_and_an_operation_outcome(
    service: Service, service_id: str, method: str, body: str | None, said: str | None, status: int, end: str
) -> None:
    answer = service.client().open(address(service_id) + end, method=method, data=body, content_type=said)

    assert answer.status_code == status
    OperationOutcome.model_validate(answer.get_json())


@pytest.mark.parametrize("end", ["", "/feedback"])
def test_H3_H4_a_service_that_is_not_there_is_not_found(service: Service, end: str) -> None:
    answer = service.client().post(address("no-such-service") + end, json=whole("breast-risk-order-select"))

    assert answer.status_code == 404
    OperationOutcome.model_validate(answer.get_json())


@every_service
@pytest.mark.parametrize("end", ["", "/feedback"])
def test_H3_H4_what_is_too_large_is_told_so(service: Service, service_id: str, end: str) -> None:
    client = create_app(service.parts(), Front(limits=FrontLimits(largest_request_bytes=100))).test_client()

    answer = client.post(address(service_id) + end, json=whole(service_id))

    assert answer.status_code == 413
    OperationOutcome.model_validate(answer.get_json())


@every_service
def test_H3_H4_without_its_database_the_service_is_unavailable(
    service: Service, service_id: str, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE scoring"))

    answer = service.client().post(address(service_id), json=whole(service_id))

    assert answer.status_code == 503
    OperationOutcome.model_validate(answer.get_json())


@every_service
def test_H3_H4_an_unforeseen_fault_is_an_error_of_the_server(service: Service, service_id: str) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise ValueError(name)

    broken: Any = Broken()
    client = create_app(replace(service.parts(), cards=broken)).test_client()

    answer = client.post(address(service_id), json=whole(service_id))

    assert answer.status_code == 500
    OperationOutcome.model_validate(answer.get_json())


@every_service
def test_H4_a_failure_repeats_nothing_of_the_call(service: Service, service_id: str) -> None:
    body = whole(service_id, patient={"resourceType": "Patient", "id": "hidden-patient"})
    body["context"]["userId"] = "Practitioner/hidden-user"

    answer = service.client().post(address(service_id), json=body)

    assert answer.status_code == 412
    assert not [word for word in ("hidden", f"Patient/{PATIENT}", TOKEN) if word in answer.text]
