"""Scripts of listed pages may call, those of others may not, and every response says what may be done with it."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds.web.app import Front, create_app
from tests.cds.web.calls import full
from tests.cds.web.conftest import URL, Service

PAGE = "https://ehr-page.example"
OTHER_PAGE = "https://second.example:8443"
FEEDBACK = f"{URL}/feedback"
ROUTES = [("GET", "/cds-services"), ("POST", URL), ("POST", FEEDBACK), ("GET", "/healthz")]
FAILURES = [("POST", "/cds-services/none"), ("GET", "/nowhere"), ("GET", URL), ("DELETE", URL), ("POST", URL)]


def client(service: Service, *allowed: str, public_url: str = "https://cds.example") -> FlaskClient:
    """The application, open to the scripts of these pages."""
    return create_app(replace(service.parts(), public_url=public_url), Front(allowed_origins=allowed)).test_client()


def preflight(of: FlaskClient, path: str, origin: str) -> TestResponse:
    """What a browser asks before it lets a script call."""
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    return of.options(path, headers={"Origin": origin, **wanted})


def leave(answer: TestResponse) -> dict[str, str]:
    """The headers with which a browser is told that a script may call."""
    return {name: value for name, value in answer.headers if name.startswith("Access-Control-Allow")}


MAY_CALL = {
    "Access-Control-Allow-Origin": PAGE,
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
}


@pytest.mark.parametrize("path", ["/cds-services", URL, FEEDBACK])
def test_S14_a_browser_may_ask_without_a_token_whether_a_listed_page_may_call(service: Service, path: str) -> None:
    answer = preflight(client(service, OTHER_PAGE, PAGE), path, PAGE)

    assert answer.status_code == 200
    assert leave(answer) == MAY_CALL


@pytest.mark.parametrize(("method", "path"), ROUTES + FAILURES)
def test_S14_every_answer_and_every_refusal_can_be_read_by_a_listed_page(
    service: Service, method: str, path: str
) -> None:
    answer = client(service, PAGE, OTHER_PAGE).open(path, method=method, headers={"Origin": PAGE})

    assert leave(answer) == MAY_CALL
    assert answer.headers["Vary"] == "Origin"


def test_S14_cards_can_be_read_by_a_listed_page(service: Service) -> None:
    answer = client(service, PAGE).post(URL, json=full(), headers={"Origin": PAGE})

    assert (answer.status_code, leave(answer)) == (200, MAY_CALL)


@pytest.mark.parametrize("asking", [PAGE, "https://EHR-page.example:443", OTHER_PAGE])
def test_a_page_is_listed_however_its_origin_is_written(service: Service, asking: str) -> None:
    answer = client(service, f"{PAGE}:443", OTHER_PAGE).get("/cds-services", headers={"Origin": asking})

    assert answer.headers["Access-Control-Allow-Origin"] == asking


@pytest.mark.parametrize(
    "asking",
    [
        *("null", "*", "", "https://evil.example", "http://ehr-page.example", "https://ehr-page.example:8443"),
        *("https://ehr-page.example.evil", "https://evil\\@ehr-page.example", "https://u@ehr-page.example", "https://"),
        *("https://ehr-page.example/x", "https://ehr-page.example https://evil.example", "https://ehr-page_example"),
    ],
)
def test_a_page_that_is_not_listed_is_told_nothing(service: Service, asking: str) -> None:
    for answer in (preflight(client(service, PAGE), URL, asking), client(service, PAGE).get("/cds-services")):
        assert leave(answer) == {}
        assert answer.headers["Vary"] == "Origin"


def test_without_a_list_no_page_may_call(service: Service) -> None:
    assert leave(preflight(service.client(), URL, PAGE)) == {}


@pytest.mark.parametrize("allowed", [(), (PAGE,), (PAGE, OTHER_PAGE)])
def test_neither_any_page_nor_a_browsers_cookies_are_ever_let_in(service: Service, allowed: tuple[str, ...]) -> None:
    for asking in (PAGE, "null", "*"):
        told = leave(preflight(client(service, *allowed), URL, asking))
        assert "*" not in told.values()
        assert "Access-Control-Allow-Credentials" not in told


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "PUT"])
@pytest.mark.parametrize("path", ["/cds-services", URL, FEEDBACK, "/healthz", "/nowhere"])
def test_every_response_says_what_may_be_done_with_it(service: Service, method: str, path: str) -> None:
    answer = client(service).open(path, method=method)

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Server" not in answer.headers


@pytest.mark.parametrize("public_url", ["", "http://127.0.0.1:8410"])
def test_S1_https_is_asked_for_only_where_it_is_there(service: Service, public_url: str) -> None:
    answer = client(service, public_url=public_url).get("/cds-services")

    assert "Strict-Transport-Security" not in answer.headers


def test_an_unforeseen_fault_has_the_headers_too(service: Service) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise ValueError(name)

    app = create_app(replace(service.parts(), cards=Broken()), Front((PAGE,)))  # type: ignore[arg-type] # on purpose
    answer = app.test_client().post(URL, json=full(), headers={"Origin": PAGE})

    assert (answer.status_code, leave(answer)) == (500, MAY_CALL)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
