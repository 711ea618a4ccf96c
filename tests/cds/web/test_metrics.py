"""What a monitor reads, and who may."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from cds.store_metrics import StoreMetrics
from cds.web.app import Front, create_app
from cds.web.metrics import Monitors
from tests.cds.builders import MODEL, NOW, new_exam
from tests.cds.web.calls import full
from tests.cds.web.conftest import URL, Service

SECRET = "monitor-secret"
ROUTE = "/cds-services/<service_id>"


def watched(service: Service, engine: Engine, monitors: Monitors | None) -> FlaskClient:
    """The application with those who may read what it counts."""
    parts = replace(service.parts(), collectors=(StoreMetrics(engine, MODEL.key),))
    return create_app(parts, Front(monitors=monitors)).test_client()


@pytest.fixture
def caller(service: Service, engine: Engine) -> FlaskClient:
    return watched(service, engine, Monitors(SECRET))


def told(caller: FlaskClient) -> dict[tuple[str, ...], float]:
    """Every number, by its name and labels."""
    answer = caller.get("/metrics", headers={"Authorization": f"Bearer {SECRET}"})
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_calls_are_counted_by_route_and_status_and_their_time_is_taken(caller: FlaskClient) -> None:
    caller.post(URL, json=full())
    caller.post(URL, json=full())
    caller.post(URL, data=b"no json", content_type="application/json")
    caller.get("/doe/jane")

    numbers = told(caller)
    assert numbers["mammotrend_calls_total", ROUTE, "200"] == 2
    assert numbers["mammotrend_calls_total", ROUTE, "400"] == 1
    assert numbers["mammotrend_calls_total", "none", "404"] == 1
    assert numbers["mammotrend_call_seconds_count", ROUTE] == 3


def test_cards_and_what_became_of_them_are_told(service: Service, caller: FlaskClient) -> None:
    service.score()
    card, other = (caller.post(URL, json=full()).json["cards"][0]["uuid"] for _ in range(2))  # type: ignore[index]
    overridden = {
        "card": card,
        "outcome": "overridden",
        "outcomeTimestamp": "2026-05-20T23:31:00Z",
        "overrideReason": {"reason": {"code": "mri-done", "system": "urn:x", "display": "Done"}},
    }
    accepted = {"card": other, "outcome": "accepted", "outcomeTimestamp": "2026-05-20T23:31:00Z"}
    assert caller.post(f"{URL}/feedback", json={"feedback": [overridden, accepted]}).status_code == 200

    numbers = told(caller)
    assert numbers["mammotrend_cards_total", "mri-suggested", ""] == 2
    assert numbers["mammotrend_cards_overridden_total", "mri-suggested", "mri-done"] == 1
    assert numbers["mammotrend_cards_accepted_total", "mri-suggested"] == 1


def test_what_waits_is_told(service: Service, caller: FlaskClient) -> None:
    service.score()
    service.store.register([new_exam("1.2.8"), new_exam("1.2.9")], MODEL.key, NOW)

    numbers = told(caller)
    assert numbers["mammotrend_exams", "scored"] == 1
    assert numbers["mammotrend_exams", "queued"] == 2


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer x", f"Bearer {SECRET} ", f"bearer {SECRET}", "Bearer é"]
)
def test_without_the_secret_nothing_is_told(caller: FlaskClient, header: str | None) -> None:
    answer = caller.get(
        "/metrics", headers={} if header is None else {"Authorization": header.encode().decode("latin-1")}
    )
    assert (answer.status_code, answer.data) == (401, b"")


def test_a_site_without_monitors_has_no_such_page(service: Service, engine: Engine) -> None:
    assert watched(service, engine, None).get("/metrics").status_code == 404


def test_in_a_demonstration_anybody_may_read(service: Service, engine: Engine) -> None:
    assert watched(service, engine, Monitors()).get("/metrics").status_code == 200


def test_nothing_of_a_patient_is_told(service: Service, caller: FlaskClient) -> None:
    service.score()
    caller.post(URL, json=full())
    caller.post("/cds-services/Doe-Jane", json=full())

    said = caller.get("/metrics", headers={"Authorization": f"Bearer {SECRET}"}).text
    for secret in ("Doe", "Jane", "p1", "1.2.1", SECRET):
        assert secret not in said.replace('le="0.1', "")
    assert SECRET not in repr(Monitors(SECRET))
