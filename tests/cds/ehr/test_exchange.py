"""Single requests to servers that are busy, broken or lost: how often they are made, and which error remains."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from flask import Flask, Response, redirect, request
from joserfc.jwk import ECKey

from cds.demo.loopback import serve
from cds.ehr.backend_token import BackendClient, BackendToken
from cds.ehr.client import FhirEhr, WritableEhr
from cds.ehr.exchange import A_CLINICIAN_WAITS, Patience, TokenSource
from cds.ehr.signing_key import SigningKey
from cds.errors import (
    EhrAnswerBroken,
    EhrConflict,
    EhrError,
    EhrNotFound,
    EhrRefused,
    EhrRejected,
    EhrUnreachable,
    UntrustedServer,
)
from tests.builders import operation_outcome, searchset
from tests.cds.ehr.token_server import CLIENT, NOW, Clock, TokenServer

EC = ECKey.generate_key("P-384")
ASSESSMENT = {"resourceType": "RiskAssessment", "id": "r1", "status": "final"}
NIGHT = Patience(retries=3, wait_s=2.0, longest_wait_s=60.0)
Call = Callable[[WritableEhr], object]
CALLS: dict[str, Call] = {
    "read": lambda ehr: ehr.read("RiskAssessment/r1"),
    "search": lambda ehr: ehr.search("RiskAssessment?_id=r1"),
    "create": lambda ehr: ehr.create(ASSESSMENT, "identifier=a%7Cb"),
    "update": lambda ehr: ehr.update(ASSESSMENT, "3"),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
every_read = pytest.mark.parametrize("call", [CALLS["read"], CALLS["search"]], ids=["read", "search"])
every_write = pytest.mark.parametrize("call", [CALLS["create"], CALLS["update"]], ids=["create", "update"])


class Server:
    """Gives its answers one after the other, the last one for ever; remembers what it was asked and what was waited."""

    def __init__(self, *answers: Callable[[], Any]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.waits: list[float] = []

    def app(self) -> Flask:
        """The WSGI app."""
        app = Flask("answering")
        app.add_url_rule("/<path:path>", view_func=self._answer, methods=["GET", "POST", "PUT"])
        return app

    def _answer(self, path: str) -> Any:
        self.asked.append(f"{request.method} /{path}")
        self.headers.append(dict(request.headers))
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()


def status(code: int, **headers: str) -> Callable[[], Response]:
    """An answer of this status with a name in it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: Response("Ada Lovelace", code, named)


def ok() -> Response:
    """A good answer to every call there is."""
    searched = request.method == "GET" and request.args
    return Response(json.dumps(searchset() if searched else ASSESSMENT))


def broken_off() -> Response:
    """An answer that ends before it is whole."""
    return Response(json.dumps(ASSESSMENT)[:9], headers={"Content-Length": "9000"})


def ask(
    server: Server, call: Call, patience: Patience = A_CLINICIAN_WAITS, access: str | TokenSource = "s3cret"
) -> None:
    """Make the call to the server."""
    with serve(server.app()) as url, FhirEhr(url, access, 1, wait=server.waits.append, patience=patience) as ehr:
        call(ehr)


def failure(server: Server, call: Call, error: type[Exception], patience: Patience = A_CLINICIAN_WAITS) -> Exception:
    """The error of the call, which quotes nothing that was sent or answered."""
    with pytest.raises(error) as raised:
        ask(server, call, patience)
    said = str(raised.value) + repr(raised.value)
    assert not [secret for secret in ("s3cret", "Ada", "r1", "identifier", "_id") if secret in said]
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    return raised.value


@every_call
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (status(401), EhrRefused),
        (status(403), EhrRefused),
        (status(404), EhrNotFound),
        (status(410), EhrNotFound),
        (status(418), EhrAnswerBroken),
        (status(429), EhrUnreachable),
        (status(500), EhrUnreachable),
        (status(503), EhrUnreachable),
        (status(200), EhrAnswerBroken),
        (status(202), EhrAnswerBroken),
        (status(206), EhrAnswerBroken),
        (status(304), EhrAnswerBroken),
        (broken_off, EhrAnswerBroken),
        (lambda: redirect("http://127.0.0.1:9/elsewhere"), UntrustedServer),
        (lambda: redirect("http://127.0.0.1:9/elsewhere", 307), UntrustedServer),
        (lambda: Response(json.dumps({"resourceType": "Patient", "id": "p1"})), EhrAnswerBroken),
    ],
)
def test_each_bad_answer_has_its_error(call: Call, answer: Callable[[], Any], error: type[EhrError]) -> None:
    failure(Server(answer), call, error)


@every_write
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, EhrRejected),
        (405, EhrRejected),
        (409, EhrConflict),
        (412, EhrConflict),
        (413, EhrRejected),
        (415, EhrRejected),
        (422, EhrRejected),
        (501, EhrRejected),
    ],
)
def test_a_write_that_is_not_accepted_is_told_from_one_that_came_too_late(
    call: Call, code: int, error: type[EhrError]
) -> None:
    server = Server(status(code))
    assert str(code) in str(failure(server, call, error))
    assert len(server.asked) == 1


@every_write
@pytest.mark.parametrize("answer", [status(429), status(503, Retry_After="0"), status(500), broken_off])
def test_a_write_is_never_made_again_by_itself(call: Call, answer: Callable[[], Any]) -> None:
    server = Server(answer, ok)
    failure(server, call, EhrError, NIGHT)
    assert (len(server.asked), server.waits) == (1, [])


@every_write
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_write_is_never_redirected_and_so_never_becomes_a_read(call: Call, code: int) -> None:
    server = Server(lambda: redirect("/RiskAssessment/r1", code), ok)
    failure(server, call, EhrAnswerBroken)
    assert len(server.asked) == 1


def test_a_write_says_what_it_is_and_what_it_expects() -> None:
    server = Server(ok)
    ask(server, CALLS["create"])
    ask(server, CALLS["update"])
    created, updated = server.headers
    assert server.asked == ["POST /RiskAssessment", "PUT /RiskAssessment/r1"]
    assert (created["If-None-Exist"], "If-Match" in created) == ("identifier=a%7Cb", False)
    assert (updated["If-Match"], "If-None-Exist" in updated) == ('W/"3"', False)
    assert {headers["Content-Type"] for headers in server.headers} == {"application/fhir+json"}
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer s3cret"}


@every_read
@pytest.mark.parametrize(
    ("answers", "patience", "waits"),
    [
        ([status(503), ok], A_CLINICIAN_WAITS, [0.2]),
        ([status(503, Retry_After="0"), ok], A_CLINICIAN_WAITS, [0.0]),
        ([status(503), status(429, Retry_After="60"), status(502), ok], NIGHT, [2.0, 60.0, 2.0]),
        ([status(429, Retry_After="soon"), ok], NIGHT, [2.0]),
        ([status(429, Retry_After="-5"), ok], NIGHT, [2.0]),
    ],
)
def test_a_busy_server_is_asked_again_after_the_wait_that_it_asks_for(
    call: Call, answers: list[Callable[[], Any]], patience: Patience, waits: list[float]
) -> None:
    server = Server(*answers)
    ask(server, call, patience)
    assert server.waits == waits


@every_read
@pytest.mark.parametrize(("patience", "asks_for"), [(A_CLINICIAN_WAITS, "1"), (NIGHT, "61")])
def test_a_wait_that_is_too_long_is_told_and_not_waited_for(call: Call, patience: Patience, asks_for: str) -> None:
    server = Server(status(503, Retry_After=asks_for), ok)
    error = failure(server, call, EhrUnreachable, patience)
    assert isinstance(error, EhrUnreachable)
    assert error.retry_after_s == float(asks_for)
    assert (len(server.asked), server.waits) == (1, [])


@every_read
def test_a_server_that_stays_busy_is_given_up(call: Call) -> None:
    server = Server(status(503))
    failure(server, call, EhrUnreachable, NIGHT)
    assert (len(server.asked), server.waits) == (4, [2.0] * 3)


def date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@every_call
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "90"}, 90),
        ({"Retry-After": date(90), "Date": date(0)}, 90),
        ({"Retry-After": date(-90), "Date": date(0)}, 0),
        ({"Retry-After": "9" * 400}, 86_400),
        ({"Retry-After": date(1e9), "Date": date(0)}, 86_400),
        ({"Retry-After": date(90), "Date": "today"}, None),
        ({"Retry-After": "tomorrow"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "Mon, 99 Foo 2026 00:00:00 GMT"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
    ],
)
def test_when_a_busy_server_may_be_asked_again_is_told_in_seconds(
    call: Call, headers: dict[str, str], seconds: float | None
) -> None:
    sent = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    error = failure(Server(lambda: Response("", 429, sent)), call, EhrUnreachable)
    assert isinstance(error, EhrUnreachable)
    assert error.retry_after_s == seconds


class Hangup(BaseHTTPRequestHandler):
    """Reads the request and ends the connection without a word."""

    asked: ClassVar[list[str]] = []

    def _hang_up(self) -> None:
        self.asked.append(self.command)
        self.close_connection = True

    do_GET = do_POST = do_PUT = _hang_up  # noqa: N815 - the names that BaseHTTPRequestHandler calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hanging_up() -> Iterator[str]:
    Hangup.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hangup)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@every_call
def test_a_connection_that_is_cut_is_tried_again_for_reads_alone(hanging_up: str, call: Call) -> None:
    ehr = FhirEhr(hanging_up, "s3cret", wait=lambda seconds: None, patience=NIGHT)
    with ehr, pytest.raises(EhrUnreachable, match="no connection"):
        call(ehr)
    assert len(Hangup.asked) == (4 if Hangup.asked[0] == "GET" else 1)


@every_call
def test_a_server_that_takes_too_long_is_unreachable_and_not_asked_again(call: Call) -> None:
    answered = threading.Event()
    server = Server(lambda: answered.wait(2) and ok())
    with serve(server.app()) as url, FhirEhr(url, "s3cret", timeout_s=0.1, patience=NIGHT) as ehr:
        with pytest.raises(EhrUnreachable, match=r"within 0\.1 s"):
            call(ehr)
        answered.set()
    assert len(server.asked) == 1


@pytest.fixture
def tokens() -> Iterator[tuple[TokenServer, BackendToken]]:
    server = TokenServer([EC], Clock())
    key = SigningKey("ES384", EC.thumbprint(), EC)
    with serve(server.app()) as url:
        yield server, BackendToken(BackendClient(f"{url}/fhir", CLIENT, key, "system/*.rs"), now=server.clock)


@every_call
def test_a_token_that_has_run_out_is_renewed_and_the_request_made_once_more(
    tokens: tuple[TokenServer, BackendToken], call: Call
) -> None:
    server = Server(status(401), ok)
    ask(server, call, access=tokens[1])
    assert [headers["Authorization"] for headers in server.headers] == ["Bearer token-1", "Bearer token-2"]
    assert len(set(server.asked)) == 1


@every_call
def test_a_token_that_is_refused_again_is_not_renewed_for_ever(
    tokens: tuple[TokenServer, BackendToken], call: Call
) -> None:
    server = Server(status(401))
    with pytest.raises(EhrRefused, match="401"):
        ask(server, call, access=tokens[1])
    assert (len(server.asked), len(tokens[0].claims)) == (2, 2)


@every_call
def test_a_token_that_lacks_a_scope_is_not_renewed(tokens: tuple[TokenServer, BackendToken], call: Call) -> None:
    server = Server(status(403))
    with pytest.raises(EhrRefused, match="403"):
        ask(server, call, access=tokens[1])
    assert (len(server.asked), len(tokens[0].claims)) == (1, 1)


def test_a_token_that_runs_out_between_two_pages_loses_none(tokens: tuple[TokenServer, BackendToken]) -> None:
    def page(number: int, *link: str) -> Callable[[], Response]:
        links = [{"relation": "next", "url": url} for url in link]
        return lambda: Response(json.dumps(searchset({**ASSESSMENT, "id": f"r{number}"}, link=links)))

    server = Server(
        page(1, "RiskAssessment?page=2"), status(401), page(2, "RiskAssessment?page=3"), status(401), page(3)
    )
    found: list[dict[str, Any]] = []
    ask(server, lambda ehr: found.append(ehr.search("RiskAssessment?status=final")), access=tokens[1])
    assert [entry["resource"]["id"] for entry in found[0]["entry"]] == ["r1", "r2", "r3"]
    assert len(tokens[0].claims) == 3


def test_pages_come_one_by_one_and_an_error_ends_them() -> None:
    following = searchset(ASSESSMENT, link=[{"relation": "next", "url": "RiskAssessment?page=2"}])
    server = Server(
        lambda: Response(json.dumps(following)), lambda: Response(json.dumps(operation_outcome("error", "throttled")))
    )
    with serve(server.app()) as url, FhirEhr(url, None) as ehr:
        pages = ehr.pages("RiskAssessment?status=final")
        assert len(next(pages)["entry"]) == 1
        assert len(server.asked) == 1
        with pytest.raises(EhrAnswerBroken, match="throttled"):
            next(pages)
