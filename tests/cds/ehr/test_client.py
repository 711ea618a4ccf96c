"""Reading from FHIR servers over real HTTP: the embedded one, and some that misbehave."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask, Response, redirect, request

from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.loopback import serve
from cds.ehr.client import MAX_PAGES, Ehr, FhirEhr
from cds.errors import EhrAnswerBroken, EhrError, EhrNotFound, EhrRefused, EhrUnreachable, UntrustedServer
from cds.origins import SameOriginSession
from tests.builders import imaging_study, operation_outcome, searchset

TOKEN = "s3cret-token"
PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1974-02-03"}


@pytest.fixture
def store() -> ResourceStore:
    store = ResourceStore(lambda: datetime(2026, 1, 5, 23, 30, tzinfo=UTC))
    store.put(PATIENT)
    for year in range(2020, 2026):
        store.put(imaging_study("p1", f"{year}-01-05", f"1.2.{year}", id=f"s{year}"))
    store.put(imaging_study("p2", "2025-01-05", "1.2.9", id="other"))
    return store


@pytest.fixture
def hospital(store: ResourceStore) -> Iterator[str]:
    with serve(fhir_app(store, [TOKEN])) as url:
        yield url


def answering(*answers: Any, status: int = 200) -> Flask:
    """A FHIR server that gives these answers one after the other, the last one for ever; it remembers the headers."""
    app = Flask("answering")
    remaining = list(answers)
    app.config["seen"] = []

    def answer(path: str) -> Response:
        app.config["seen"].append(dict(request.headers) | {"url": request.url})
        body = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        if isinstance(body, int):
            return Response(status=body)
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        return Response(text, status, content_type="application/fhir+json")

    app.add_url_rule("/<path:path>", view_func=answer)
    return app


def ask(app: Flask, call: Callable[[Ehr], dict[str, Any]], token: str | None = TOKEN) -> dict[str, Any]:
    with serve(app) as url, FhirEhr(url, token, timeout_s=2, wait=lambda seconds: None) as ehr:
        return call(ehr)


def patient(ehr: Ehr) -> dict[str, Any]:
    return ehr.read("Patient/p1")


def studies(ehr: Ehr) -> dict[str, Any]:
    return ehr.search("ImagingStudy?patient=p1")


def test_a_patient_is_read_with_the_token_of_the_call(hospital: str) -> None:
    with FhirEhr(hospital, TOKEN) as ehr:
        assert ehr.read("Patient/p1")["birthDate"] == "1974-02-03"


def test_a_wrong_token_is_refused_and_not_shown(hospital: str) -> None:
    with FhirEhr(hospital, "wr0ng-token") as ehr, pytest.raises(EhrRefused, match="401") as refusal:
        ehr.read("Patient/p1")
    assert "wr0ng" not in str(refusal.value) + repr(refusal.value) + repr(ehr) + str(vars(ehr))


def test_a_resource_that_is_not_there_is_another_answer_than_a_refusal(hospital: str) -> None:
    with FhirEhr(hospital, TOKEN) as ehr, pytest.raises(EhrNotFound, match="404"):
        ehr.read("Patient/nobody")


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7])
def test_a_search_in_pages_gives_every_result_once_and_in_order(hospital: str, count: int) -> None:
    with FhirEhr(hospital, TOKEN) as ehr:
        found = ehr.search(f"ImagingStudy?patient=p1&modality=MG&_sort=-started&_count={count}")
    started = [entry["resource"]["started"][:4] for entry in found["entry"]]
    assert started == ["2025", "2024", "2023", "2022", "2021", "2020"]
    assert (found["type"], [link["relation"] for link in found["link"]]) == ("searchset", ["self"])


def test_a_search_that_finds_nothing_is_an_empty_searchset(hospital: str) -> None:
    with FhirEhr(hospital, TOKEN) as ehr:
        assert ehr.search("Condition?patient=p1")["entry"] == []


def test_F1_every_page_is_asked_for_as_fhir_json_with_the_token() -> None:
    following = searchset(link=[{"relation": "next", "url": "ImagingStudy?page=2"}])
    app = answering(following, searchset())
    ask(app, studies)
    seen = [(headers["Accept"], headers["Authorization"]) for headers in app.config["seen"]]
    assert seen == [("application/fhir+json", f"Bearer {TOKEN}")] * 2


def test_a_server_without_authorization_is_asked_without_a_token() -> None:
    app = answering(PATIENT)
    ask(app, patient, token=None)
    assert "Authorization" not in app.config["seen"][0]


def test_the_token_of_a_netrc_file_is_never_sent(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    app = answering(PATIENT)
    ask(app, patient, token=None)
    assert "Authorization" not in app.config["seen"][0]


def test_no_cookie_is_carried_from_one_call_to_the_next() -> None:
    app = answering(PATIENT)
    app.after_request(_with_cookie)
    with serve(app) as url, SameOriginSession() as shared:
        for token in ("first", "second"):
            FhirEhr(url, token, session=shared).read("Patient/p1")
    assert ["Cookie" in headers for headers in app.config["seen"]] == [False, False]
    assert [headers["Authorization"] for headers in app.config["seen"]] == ["Bearer first", "Bearer second"]


def _with_cookie(response: Response) -> Response:
    response.set_cookie("session", "first")
    return response


def test_F5_a_next_link_to_another_server_is_never_followed() -> None:
    thief = answering(searchset(imaging_study("p1", "2025-01-05")))
    with serve(thief) as elsewhere:
        app = answering(searchset(link=[{"relation": "next", "url": f"{elsewhere}/ImagingStudy?page=2"}]))
        with pytest.raises(UntrustedServer, match="next page"):
            ask(app, studies)
    assert thief.config["seen"] == []


@pytest.mark.parametrize(
    "link", ["//evil.example/fhir?page=2", "https://127.0.0.1/fhir", "file:///etc/passwd", "http://["]
)
def test_a_next_link_in_disguise_is_never_followed(link: str) -> None:
    with pytest.raises(UntrustedServer):
        ask(answering(searchset(link=[{"relation": "next", "url": link}])), studies)


def test_F5_a_redirect_to_another_server_is_never_followed() -> None:
    thief = answering(PATIENT)
    with serve(thief) as elsewhere:
        app = Flask("redirecting")
        app.add_url_rule("/<path:path>", view_func=lambda path: redirect(f"{elsewhere}/{path}"))
        with pytest.raises(UntrustedServer, match="another server"):
            ask(app, patient)
    assert thief.config["seen"] == []


def test_pages_that_never_end_are_an_error() -> None:
    app = answering(*[searchset(link=[{"relation": "next", "url": f"ImagingStudy?page={n}"}]) for n in range(30)])
    with pytest.raises(EhrAnswerBroken, match=f"{MAX_PAGES} pages"):
        ask(app, studies)


def test_pages_that_go_in_a_circle_are_an_error() -> None:
    app = answering(searchset(link=[{"relation": "next", "url": "ImagingStudy?page=2"}]))
    with pytest.raises(EhrAnswerBroken, match="2 pages"):
        ask(app, studies)


def test_a_page_that_fails_fails_the_whole_search() -> None:
    first = searchset(imaging_study("p1", "2025-01-05"), link=[{"relation": "next", "url": "ImagingStudy?page=2"}])
    with pytest.raises(EhrUnreachable, match="500"):
        ask(answering(first, 500), studies)


@pytest.mark.parametrize("call", [patient, studies])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "not JSON"),
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (["Patient"], "not a FHIR resource"),
        ({"id": "p1"}, "not a FHIR resource"),
        ({"resourceType": 7}, "not a FHIR resource"),
        (operation_outcome("error", "processing"), "error, processing"),
        ({"resourceType": "Observation"}, "the EHR at"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_an_error(
    call: Callable[[Ehr], dict[str, Any]], body: Any, message: str
) -> None:
    with pytest.raises(EhrAnswerBroken, match=message):
        ask(answering(body), call)


@pytest.mark.parametrize("entry", ["studies", {"resource": []}, 7])
def test_entries_of_the_wrong_shape_do_not_pass_for_nothing_found(entry: object) -> None:
    with pytest.raises(EhrAnswerBroken, match="did not answer a search"):
        ask(answering({"resourceType": "Bundle", "type": "searchset", "entry": entry}), studies)


def test_results_with_an_error_among_them_are_only_a_part_and_an_error() -> None:
    with pytest.raises(EhrAnswerBroken, match="error, throttled"):
        ask(answering(searchset(imaging_study("p1", "2025"), operation_outcome("error", "throttled"))), studies)


def test_a_warning_that_nothing_was_found_is_an_answer() -> None:
    found = ask(answering(searchset(operation_outcome("warning", "not-found"))), studies)
    assert found["resourceType"] == "Bundle"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, EhrAnswerBroken),
        (401, EhrRefused),
        (403, EhrRefused),
        (404, EhrNotFound),
        (410, EhrNotFound),
        (429, EhrUnreachable),
        (500, EhrUnreachable),
        (503, EhrUnreachable),
    ],
)
def test_each_status_has_its_error_with_nothing_of_the_url(status: int, error: type[EhrError]) -> None:
    with pytest.raises(error, match=str(status)) as raised:
        ask(answering(status), patient)
    assert "p1" not in str(raised.value)
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_once_more(status: int) -> None:
    app = answering(status, PATIENT)
    assert ask(app, patient) == PATIENT
    assert len(app.config["seen"]) == 2


def test_a_refusal_is_not_asked_again() -> None:
    app = answering(403)
    with pytest.raises(EhrRefused):
        ask(app, patient)
    assert len(app.config["seen"]) == 1


def test_a_server_that_does_not_run_is_unreachable_and_nothing_of_the_patient_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    waited: list[float] = []
    ehr = FhirEhr("http://127.0.0.1:9/fhir", TOKEN, wait=waited.append)
    with pytest.raises(EhrUnreachable, match=r"http://127\.0\.0\.1:9;") as raised:
        ehr.read("Patient/p1")
    assert len(waited) == 1
    assert "p1" not in caplog.text + str(raised.value)
    assert raised.value.__context__ is None


def test_a_server_that_takes_too_long_is_unreachable_and_not_asked_again() -> None:
    answered, asked = threading.Event(), []

    def slow(environ: Any, start: Callable[..., Any]) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        answered.wait(2)
        start("204 No Content", [])
        return []

    with serve(slow) as url, FhirEhr(url, TOKEN, timeout_s=0.1) as ehr:
        with pytest.raises(EhrUnreachable, match=r"within 0\.1 s"):
            ehr.read("Patient/p1")
        answered.set()
    assert asked == ["/Patient/p1"]


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/fhir", "127.0.0.1/fhir", "http://", "http://h:99999/fhir", "", "file:///x"]
)
def test_a_base_address_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(UntrustedServer):
        FhirEhr(url, TOKEN)


@pytest.mark.parametrize(
    "path", ["http://evil.example/Patient/1", "//evil.example", "/Patient/1", "Patient/../x", ".."]
)
def test_only_addresses_below_the_server_are_read(path: str) -> None:
    app = answering(PATIENT)
    with pytest.raises(UntrustedServer, match="relative"):
        ask(app, lambda ehr: ehr.read(path))
    assert app.config["seen"] == []


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ümlaut"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(EhrRefused, match="Authorization") as refusal:
        FhirEhr("http://127.0.0.1:9", token)
    assert not token or token not in str(refusal.value)
