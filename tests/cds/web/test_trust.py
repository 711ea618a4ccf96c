"""The guard before the routes, over HTTP: who gets in, what the others get, and what is logged."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from cds.errors import CallerKeysUnread
from cds.store.seen_tokens import SeenTokens
from cds.store.tables import SeenToken
from cds.trust.clients import Client, ClientTrust, KeySource
from cds.web import trust
from cds.web.app import Front, create_app
from tests.cds.builders import EHR
from tests.cds.trust.callers import ISSUER, PUBLIC_URL, RSA, bearer, call, claims, client, header, keys, signed
from tests.cds.web.calls import full
from tests.cds.web.conftest import URL, Service

SECRET_JTI = "secret-token-id"
FEEDBACK = {
    "feedback": [{"card": "c1", "outcome": "overridden", "outcomeTimestamp": "2026-05-20T23:31:00Z"}],
}


def guarded(service: Service, engine: Engine, *clients: Client, public_url: str = PUBLIC_URL) -> Flask:
    """The application behind its guard."""
    app = create_app(service.parts())
    trusted = ClientTrust(clients or [client()], SeenTokens(engine))
    trust.register(app, trusted, public_url, service.clock)
    trust.register_once(app, trusted, service.clock)
    return app


@pytest.fixture
def caller(service: Service, engine: Engine) -> FlaskClient:
    return guarded(service, engine).test_client()


def authorized(**changes: Any) -> dict[str, str]:
    """The headers of a call with a good token, but for the changes."""
    return {"Authorization": call(**changes)}


def assert_bare(answer: Any) -> None:
    """A refusal that gives no reason."""
    assert answer.status_code == 401
    assert answer.data == b""
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_call_with_a_token_of_its_ehr_is_answered(service: Service, caller: FlaskClient) -> None:
    service.score()
    answer = caller.post(URL, json=full(), headers=authorized())

    assert answer.status_code == 200
    assert answer.get_json()["cards"]


def test_a_call_without_one_gets_nothing_not_even_a_reason(service: Service, caller: FlaskClient) -> None:
    service.score()

    for headers in ({}, {"Authorization": "Bearer x"}, authorized(exp=0), authorized(aud="https://other.example")):
        assert_bare(caller.post(URL, json=full(), headers=headers))
    assert service.ehr.tokens == []


def test_who_is_refused_does_not_learn_what_there_is(caller: FlaskClient) -> None:
    assert_bare(caller.post("/cds-services/no-such-service", json=full()))
    assert_bare(caller.post("/cds-services/no-such-service/feedback", json=FEEDBACK))
    assert_bare(caller.post(URL, data=b"not json"))


def test_a_token_is_for_one_call(caller: FlaskClient) -> None:
    headers = authorized()

    assert caller.post(URL, json=full(), headers=headers).status_code == 200
    assert_bare(caller.post(URL, json=full(), headers=headers))


def test_feedback_needs_a_token_for_its_own_address(caller: FlaskClient) -> None:
    own = authorized(aud=f"{PUBLIC_URL}{URL}/feedback", jti="feedback-1")

    assert_bare(caller.post(f"{URL}/feedback", json=FEEDBACK))
    assert_bare(caller.post(f"{URL}/feedback", json=FEEDBACK, headers=authorized()))
    assert caller.post(f"{URL}/feedback", json=FEEDBACK, headers=own).status_code == 200
    assert_bare(caller.post(URL, json=full(), headers=authorized(aud=f"{PUBLIC_URL}{URL}/feedback", jti="feedback-2")))


def test_discovery_and_health_are_open_and_a_browser_may_ask_first(caller: FlaskClient) -> None:
    assert caller.get("/cds-services").status_code == 200
    assert caller.get("/healthz").status_code == 200
    assert caller.options(URL).status_code == 200
    assert caller.options(f"{URL}/feedback").status_code == 200


@pytest.mark.parametrize("path", [f"/{URL}", f"{URL}/", f"{URL}/feedback/", "/cds-services/", "/x", f"{URL}/%2e%2e"])
def test_no_other_way_to_write_an_address_leads_past_the_guard(caller: FlaskClient, path: str) -> None:
    assert caller.post(path, json=full()).status_code in {308, 401, 404, 405}


def test_methods_that_a_route_does_not_have_lead_nowhere(caller: FlaskClient) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
        assert caller.open(URL, method=method, json=full()).status_code == 405


def test_the_host_that_a_call_names_does_not_matter(service: Service, engine: Engine) -> None:
    caller = guarded(service, engine).test_client()
    forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}

    aud = f"https://evil.example{URL}"
    assert_bare(caller.post(URL, json=full(), headers=forged | authorized(aud=aud)))
    assert caller.post(URL, json=full(), headers=forged | authorized()).status_code == 200


def test_a_slash_at_the_end_of_the_public_address_makes_no_difference(service: Service, engine: Engine) -> None:
    caller = guarded(service, engine, public_url=f"{PUBLIC_URL}/").test_client()

    assert caller.post(URL, json=full(), headers=authorized()).status_code == 200


def test_a_time_that_has_passed_on_the_services_clock_is_over(service: Service, caller: FlaskClient) -> None:
    service.clock.sleep(300 + 60)

    assert_bare(caller.post(URL, json=full(), headers=authorized()))


# What the routes learn


def test_a_route_learns_whose_call_it_is(service: Service, engine: Engine) -> None:
    theirs = client(ehr="ehr-2", issuer="https://other.example", keys=keys(RSA))
    app = guarded(service, engine, client(), theirs)
    token = bearer(signed(header(alg="RS384", kid="rsa-1"), claims(iss=theirs.issuer), RSA, "RS384"))

    for authorization, ehr in ((call(), EHR), (token, "ehr-2")):
        with app.test_request_context(URL, method="POST", headers={"Authorization": authorization}):
            assert app.preprocess_request() is None
            assert trust.verified_ehr() == ehr


def test_without_trust_every_call_is_let_through_and_nobody_is_verified(service: Service) -> None:
    app = create_app(service.parts())
    trust.register(app, None, PUBLIC_URL, service.clock)
    trust.register_once(app, None, service.clock)

    assert app.test_client().post(URL, json=full()).status_code == 200
    with app.test_request_context(URL, method="POST", headers=authorized()):
        assert app.preprocess_request() is None
        assert trust.verified_ehr() is None


DEMONSTRATION = Front(is_demonstration=True)


@pytest.mark.parametrize("host", ["localhost", "localhost:8410", "127.0.0.1:8410", "[::1]:8410", "cds.example"])
def test_a_demonstration_is_asked_by_this_machines_own_names(service: Service, host: str) -> None:
    app = create_app(replace(service.parts(), public_url="https://cds.example/mammo"), DEMONSTRATION)

    assert app.test_client().post(URL, json=full(), headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8410", "127.0.0.1.evil.example", "[::1", "", "10.0.0.1"]
)
def test_a_page_whose_name_stands_for_this_machine_reads_nothing_of_a_demonstration(
    service: Service, host: str
) -> None:
    client = create_app(service.parts(), DEMONSTRATION).test_client()

    for path in ("/cds-services", "/readyz", "/nowhere"):
        assert client.get(path, headers={"Host": host}).status_code == 403
    assert client.post(URL, json=full(), headers={"Host": host}).status_code == 403


# Keys that cannot be had, and a database that does not answer


def test_a_call_whose_keys_cannot_be_read_is_asked_to_come_again(
    service: Service, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    class Unread(KeySource):
        def key(self, key_id: str) -> None:
            raise CallerKeysUnread("the keys could not be read")

    answer = guarded(service, engine, client(keys=Unread())).test_client().post(URL, json=full(), headers=authorized())

    assert (answer.status_code, answer.data) == (503, b"")
    assert "WWW-Authenticate" not in answer.headers
    assert caplog.messages == ["a call could not be told from a forged one: the keys could not be read"]


def test_without_its_database_the_service_lets_nobody_in(service: Service, engine: Engine) -> None:
    caller = guarded(service, engine).test_client()
    SeenToken.__table__.drop(engine)  # type: ignore[attr-defined] # SQLModel does not declare it

    assert caller.post(URL, json=full(), headers=authorized()).status_code == 503


# The log


def test_a_refusal_is_one_line_with_a_word_and_a_configured_issuer(
    caller: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for headers in ({}, authorized(iss="https://evil.example\nforged line"), authorized(exp=0, jti=SECRET_JTI)):
        caller.post(URL, json=full(), headers=headers)

    assert caplog.messages == [
        "a call was refused: missing",
        "a call was refused: issuer",
        f"a call was refused: expired, of {ISSUER}",
    ]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_S12_nothing_of_a_token_is_logged_whether_it_is_accepted_or_not(
    service: Service, caller: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for headers in (authorized(jti=SECRET_JTI, sub="secret-sub"),) * 2:
        caller.post(URL, json=full(), headers=headers)

    assert "secret" not in caplog.text
    assert call(jti=SECRET_JTI).split(".")[1] not in caplog.text
