"""Callers that were refused, in the audit trail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, create_engine

from cds.store.audit import AccessEvent, AccessOutcome, Action, AuditTrail, WebCall
from cds.store.seen_tokens import SeenTokens
from cds.trust.clients import ClientTrust
from cds.web.app import create_app
from cds.web.refused_callers import MOST_PER_MINUTE, RefusedCallers
from tests.cds.builders import EHR
from tests.cds.trust.callers import PUBLIC_URL, call, client
from tests.cds.web.calls import full
from tests.cds.web.conftest import URL, Service


@pytest.fixture
def caller(service: Service, engine: Engine) -> FlaskClient:
    """A caller of the service behind its guard."""
    trust = ClientTrust([client()], SeenTokens(engine))
    return create_app(replace(service.parts(), trust=trust, public_url=PUBLIC_URL)).test_client()


def refusals(trail: AuditTrail) -> list[AccessEvent]:
    return [entry.event for entry in trail.entries() if entry.event.action is Action.CALLER_REFUSED]


def refused(caller: FlaskClient, path: str = URL, **headers: Any) -> None:
    assert caller.post(path, json=full(), headers=headers).status_code == 401


def test_a_refused_caller_is_in_the_trail_with_where_from_and_why(service: Service, caller: FlaskClient) -> None:
    refused(caller, Authorization=call(exp=0))

    (event,) = refusals(service.trail)
    assert event.call == WebCall("/cds-services/<service_id>", "127.0.0.1")
    assert (event.at, event.outcome, event.detail) == (service.clock(), AccessOutcome.REFUSED, "expired")
    assert (event.ehr, event.patient_id, event.user_id) == (None, None, None)


def test_what_a_refused_caller_writes_is_not(service: Service, caller: FlaskClient) -> None:
    refused(caller, "/cds-services/Doe-Jane-19700101", Authorization="Bearer canary-token")

    (entry,) = service.trail.entries()
    assert "Doe" not in entry.written
    assert "canary" not in entry.written


def test_an_ehr_that_asks_for_the_patients_of_another_is_in_the_trail_and_the_log(
    service: Service, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    service.with_other_ehr("ehr-2", "https://two.example/r4")
    trust = ClientTrust([client(), client(ehr="ehr-2", issuer="https://two.example")], SeenTokens(engine))
    caller = create_app(replace(service.parts(), trust=trust, public_url=PUBLIC_URL)).test_client()

    headers = {"Authorization": call(iss="https://two.example")}
    assert caller.post(URL, json=full(), headers=headers).status_code == 403

    (event,) = refusals(service.trail)
    assert (event.ehr, event.patient_id, event.detail) == ("ehr-2", None, "another-ehr")
    assert event.call == WebCall("/cds-services/<service_id>", "127.0.0.1")
    assert caplog.messages == [f"a call was refused: another-ehr, of ehr-2 for {EHR}"]


def test_one_that_is_answered_is_not_among_them(service: Service, caller: FlaskClient) -> None:
    assert caller.post(URL, json=full(), headers={"Authorization": call()}).status_code == 200
    assert refusals(service.trail) == []


def test_who_tries_without_end_does_not_fill_the_trail(service: Service, caller: FlaskClient) -> None:
    for _ in range(MOST_PER_MINUTE + 5):
        refused(caller)
    assert len(refusals(service.trail)) == MOST_PER_MINUTE

    service.clock.sleep(60)
    refused(caller)
    assert len(refusals(service.trail)) == MOST_PER_MINUTE + 1


def test_a_store_that_takes_nothing_lets_nobody_in(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    broken = AuditTrail(create_engine("sqlite:///:memory:"))

    RefusedCallers(broken, service.clock, service.clock.monotonic_s).note(WebCall("x"), "expired")
    assert "not in the audit trail" in caplog.text
