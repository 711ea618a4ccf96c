"""The EHR's side of a hook call: what is sent, and what is made of each answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request

from cds.demo.ehr_page.decision_support import Access, CdsHooks
from cds.demo.fhir_store import ResourceStore
from cds.demo.loopback import serve
from cds.ehr.client import FhirEhr
from tests.builders import operation_outcome
from tests.cds.builders import NOW, PATIENT, Clock
from tests.cds.demo.ehr_page.builders import card
from tests.cds.demo.ehr_page.conftest import TOKEN

Json = dict[str, Any]
TEMPLATES = {"patient": "Patient/{{context.patientId}}", "orders": "ServiceRequest?patient={{context.patientId}}"}


class Service:
    """A CDS service that keeps what it is sent and answers as it is told."""

    def __init__(self, answer: object, status: int = 200, prefetch: Json | None = None) -> None:
        self.received: list[tuple[str, Json]] = []
        self.app = Flask(__name__)
        services = [{"id": "other", "hook": "order-sign"}, {"id": "risk", "hook": "order-select"}]
        services[1]["prefetch"] = prefetch or {}  # type: ignore[assignment] # the services differ in what they have

        @self.app.get("/cds-services")
        def discovery() -> Response:
            return jsonify(services=services)

        @self.app.post("/cds-services/<path:path>")
        def take(path: str) -> tuple[Response, int]:
            self.received.append((path, request.get_json()))
            return jsonify(answer), status


@contextmanager
def asking(service: Service, ehr: FhirEhr) -> Iterator[CdsHooks]:
    """The EHR's client of this service."""
    clock = Clock()
    with serve(service.app) as address:
        yield CdsHooks(address, ehr, Access("https://ehr.example/fhir", TOKEN), clock, clock.monotonic_s)


def test_the_service_of_the_hook_is_called_with_what_it_wants_of_the_chart(ehr: FhirEhr, charts: ResourceStore) -> None:
    charts.put({"resourceType": "ServiceRequest", "id": "o1", "subject": {"reference": f"Patient/{PATIENT}"}})
    service = Service({"cards": [card()]}, prefetch=TEMPLATES)
    with asking(service, ehr) as hooks:
        said = hooks.ask("order-select", PATIENT, {"selections": ["x"]}, "Order selected")

    ((path, body),) = service.received
    assert path == "risk"
    assert body["hook"] == "order-select"
    assert body["context"] == {"userId": "Practitioner/demo", "patientId": PATIENT, "selections": ["x"]}
    assert (body["fhirServer"], body["fhirAuthorization"]["access_token"]) == ("https://ehr.example/fhir", TOKEN)
    assert body["prefetch"]["patient"]["id"] == PATIENT
    assert [entry["resource"]["id"] for entry in body["prefetch"]["orders"]["entry"]] == ["o1"]
    assert (said.cards, said.problem, said.service_id, said.asked_at) == ([card()], None, "risk", NOW)


def test_what_is_kept_of_a_call_is_all_but_its_token(ehr: FhirEhr) -> None:
    service = Service({"cards": []})
    with asking(service, ehr) as hooks:
        said = hooks.ask("order-select", PATIENT, {}, "Order selected")

    ((_, body),) = service.received
    kept = {**body, "fhirAuthorization": {**body["fhirAuthorization"], "access_token": "not shown"}}
    assert said.request == kept
    assert TOKEN not in repr(said)


def test_what_cannot_be_read_is_left_out_of_the_prefetch(ehr: FhirEhr) -> None:
    service = Service({"cards": []}, prefetch={**TEMPLATES, "visits": "Encounter?patient={{context.patientId}}"})
    with asking(service, ehr) as hooks:
        hooks.ask("order-select", PATIENT, {}, "Order selected")
    assert set(service.received[0][1]["prefetch"]) == {"patient", "orders"}


def test_an_answer_without_cards_is_no_problem(ehr: FhirEhr) -> None:
    with asking(Service({"cards": []}), ehr) as hooks:
        said = hooks.ask("order-select", PATIENT, {}, "Order selected")
    assert (said.cards, said.problem) == ([], None)


def test_a_refusal_is_a_problem_in_the_service_s_words(ehr: FhirEhr) -> None:
    outcome = operation_outcome() | {"issue": [{"severity": "error", "diagnostics": "no mammograms were sent"}]}
    with asking(Service(outcome, 412), ehr) as hooks:
        said = hooks.ask("order-select", PATIENT, {}, "Order selected")
    assert (said.cards, said.problem) == ([], "the service answered 412: no mammograms were sent")


def test_a_service_that_is_not_there_is_a_problem(ehr: FhirEhr) -> None:
    with asking(Service({}), ehr) as hooks:
        pass
    assert hooks.ask("order-select", PATIENT, {}, "x").problem == (
        "the service cannot be reached, or its answer cannot be read"
    )


def test_a_hook_that_nobody_announces_is_not_called(ehr: FhirEhr) -> None:
    service = Service({"cards": []})
    with asking(service, ehr) as hooks:
        said = hooks.ask("appointment-book", PATIENT, {}, "x")
    assert (said.problem, service.received) == ("the service announces nothing for appointment-book", [])


@pytest.mark.parametrize(("status", "problem"), [(200, None), (404, "the service answered 404: ")])
def test_feedback_goes_to_the_service_that_sent_the_card(ehr: FhirEhr, status: int, problem: str | None) -> None:
    service = Service({}, status)
    with asking(service, ehr) as hooks:
        assert hooks.report("risk", {"card": "c1"}) == problem
    assert service.received == [("risk/feedback", {"feedback": [{"card": "c1"}]})]
