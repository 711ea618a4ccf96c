"""Tokens from an EHR's token server over real HTTP: got, kept, renewed, refused, and never shown."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from flask import Flask, Response, redirect, request
from joserfc.jwk import ECKey, RSAKey

from cds.demo.loopback import serve
from cds.ehr.backend_token import BackendClient, BackendToken
from cds.ehr.signing_key import SigningKey
from cds.errors import EhrAnswerBroken, EhrError, EhrRefused, EhrUnreachable, SettingsError, UntrustedServer
from cds.origins import BearerToken
from cds.services import night_client
from cds.settings import EhrSettings
from tests.cds.ehr.token_server import CLIENT, Clock, TokenServer

EC = ECKey.generate_key("P-384")
RSA = RSAKey.generate_key(2048)
KEY = SigningKey("ES384", EC.thumbprint(), EC)
SCOPE = "system/Patient.rs"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> TokenServer:
    return TokenServer([EC, RSA], clock)


@pytest.fixture
def client(server: TokenServer) -> Iterator[BackendClient]:
    with serve(server.app()) as url:
        yield BackendClient(f"{url}/fhir", CLIENT, KEY, SCOPE)


def header(token: BearerToken) -> str:
    """What the token puts into a request."""
    request: Any = type("Request", (), {"headers": {}})()
    return str(token(request).headers["Authorization"])


def refused(client: BackendClient, error: type[Exception], clock: Clock | None = None) -> str:
    """The message with which no token is got."""
    with pytest.raises(error) as raised:
        BackendToken(client, timeout_s=2, now=clock or Clock()).bearer()
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    return str(raised.value)


@pytest.mark.parametrize("key", [KEY, SigningKey("RS384", RSA.thumbprint(), RSA)])
def test_a_token_is_got_at_the_address_that_the_fhir_server_names(
    server: TokenServer, client: BackendClient, clock: Clock, key: SigningKey
) -> None:
    token = BackendToken(replace(client, key=key), now=clock).bearer()
    assert header(token) == "Bearer token-1"
    assert server.forms[0]["scope"] == SCOPE
    assert server.headers == [{"alg": key.algorithm, "kid": key.key_id, "typ": "JWT"}]
    (claims,) = server.claims
    assert claims.keys() == {"iss", "sub", "aud", "exp", "jti"}
    assert 0 < claims["exp"] - clock.now.timestamp() <= 300


def test_the_address_of_the_settings_goes_before_the_one_that_the_server_names(
    server: TokenServer, clock: Clock
) -> None:
    with serve(server.app("/other")) as url:
        client = BackendClient("http://127.0.0.1:9/fhir", CLIENT, KEY, SCOPE, f"{url}/other/token")
        assert header(BackendToken(client, now=clock).bearer()) == "Bearer token-1"
    assert server.claims[0]["aud"] == f"{url}/other/token"


def test_a_token_is_kept_until_shortly_before_its_end_and_then_renewed(
    server: TokenServer, client: BackendClient, clock: Clock
) -> None:
    tokens = BackendToken(client, now=clock)
    first = tokens.bearer()
    clock.now += timedelta(seconds=269)
    assert tokens.bearer() is first
    clock.now += timedelta(seconds=1)
    assert header(tokens.bearer()) == "Bearer token-2"
    assert len({claims["jti"] for claims in server.claims}) == 2


@pytest.mark.parametrize(
    ("told", "kept_s"),
    [(300, 270), ("300", 270), (8, 6), (None, 45), ("soon", 45), (True, 45), (-1, 45), (float("inf"), 86_370)],
)
def test_a_lifetime_that_is_short_long_or_no_number_never_keeps_a_token_too_long(
    server: TokenServer, client: BackendClient, clock: Clock, told: object, kept_s: int
) -> None:
    server.expires_in = told
    tokens = BackendToken(client, now=clock)
    first = tokens.bearer()
    clock.now += timedelta(seconds=kept_s) - timedelta(microseconds=1)
    assert tokens.bearer() is first
    clock.now += timedelta(microseconds=1)
    assert tokens.bearer() is not first


def test_a_token_without_a_lifetime_is_asked_for_each_time(server: TokenServer, client: BackendClient) -> None:
    server.expires_in = 0
    tokens = BackendToken(client, now=server.clock)
    assert [header(tokens.bearer()) for _ in range(2)] == ["Bearer token-1", "Bearer token-2"]


def test_a_refused_token_is_renewed_once_for_all_who_held_it(server: TokenServer, client: BackendClient) -> None:
    tokens = BackendToken(client, now=server.clock)
    old = tokens.bearer()
    with ThreadPoolExecutor(8) as threads:
        new = list(threads.map(lambda _: tokens.bearer(refused=old), range(16)))
    assert {header(token) for token in new} == {"Bearer token-2"}
    assert len(server.claims) == 2


def test_many_threads_without_a_token_ask_for_one(server: TokenServer, client: BackendClient) -> None:
    tokens, together = BackendToken(client, now=server.clock), threading.Barrier(8)

    def ask(_: int) -> BearerToken:
        together.wait()
        return tokens.bearer()

    with ThreadPoolExecutor(8) as threads:
        assert len(set(map(header, threads.map(ask, range(8))))) == 1
    assert len(server.claims) == 1


def test_a_key_that_is_not_registered_is_refused_with_what_to_do_and_not_shown(client: BackendClient) -> None:
    wrong = ECKey.generate_key("P-384")
    message = refused(replace(client, key=SigningKey("ES384", "k", wrong)), EhrRefused)
    assert "invalid_client: register the public key" in message
    assert "eyJ" not in message


def test_a_scope_that_is_not_granted_is_refused_with_what_to_do(client: BackendClient) -> None:
    assert "invalid_scope: ask for scopes" in refused(replace(client, scope="nothing"), EhrRefused)


@pytest.mark.parametrize("minutes", [-3, 3])
def test_a_clock_that_is_too_wrong_is_refused(server: TokenServer, client: BackendClient, minutes: int) -> None:
    wrong = Clock()
    wrong.now += timedelta(minutes=minutes)
    assert "compare the clocks" in refused(client, EhrRefused, wrong)


@pytest.mark.parametrize("seconds", [-140, 140])
def test_a_clock_that_is_two_minutes_wrong_is_no_hindrance(client: BackendClient, seconds: int) -> None:
    wrong = Clock()
    wrong.now += timedelta(seconds=seconds)
    assert header(BackendToken(client, now=wrong).bearer()) == "Bearer token-1"


def answering(body: Any, status: int = 200, **headers: str) -> Flask:
    """A token server with one answer to everything."""
    app = Flask("answering")
    text = body if isinstance(body, str) else json.dumps(body)
    app.add_url_rule(
        "/<path:path>",
        view_func=lambda path: Response(text, status, {name.replace("_", "-"): v for name, v in headers.items()}),
        methods=["GET", "POST"],
    )
    return app


GOOD = {"access_token": "s3cret", "token_type": "bearer", "expires_in": 60}
SECRETS = {"error_description": "patient Ada", "access_token": "s3cret"}


@pytest.mark.parametrize(
    ("body", "status", "error", "words"),
    [
        ({"error": "invalid_client", **SECRETS}, 401, EhrRefused, "answered 401, invalid_client"),
        ({"error": "Ada Lovelace", **SECRETS}, 401, EhrRefused, "answered 401: register"),
        ({"error": ["invalid_client"], **SECRETS}, 403, EhrRefused, "answered 403: register"),
        ("s3cret <html>", 400, EhrAnswerBroken, "answered 400; check token_url"),
        ("s3cret <html>", 404, EhrAnswerBroken, "answered 404; check token_url"),
        ("s3cret <html>", 204, EhrAnswerBroken, "answered 204; check token_url"),
        ("s3cret <html>", 500, EhrUnreachable, "answered 500; try again later"),
        ("s3cret <html>", 200, EhrAnswerBroken, "JSON object"),
        ("[" * 100_000, 200, EhrAnswerBroken, "JSON object"),
        (["s3cret"], 200, EhrAnswerBroken, "JSON object"),
        ({**GOOD, "token_type": "mac"}, 200, EhrAnswerBroken, "type bearer"),
        ({**GOOD, "token_type": None}, 200, EhrAnswerBroken, "type bearer"),
        ({**GOOD, "access_token": ""}, 200, EhrAnswerBroken, "can be sent"),
        ({**GOOD, "access_token": None}, 200, EhrAnswerBroken, "can be sent"),
        ({**GOOD, "access_token": "s3cret\nX-Evil: 1"}, 200, EhrAnswerBroken, "can be sent"),
        ({**GOOD, "access_token": {"s3cret": 1}}, 200, EhrAnswerBroken, "can be sent"),
    ],
)
def test_each_bad_answer_has_its_error_and_none_of_its_words(
    body: Any, status: int, error: type[EhrError], words: str
) -> None:
    with serve(answering(body, status)) as url:
        message = refused(BackendClient(f"{url}/fhir", CLIENT, KEY, SCOPE, f"{url}/token"), error)
    assert words in message
    assert "s3cret" not in message
    assert "Ada" not in message


def test_a_busy_token_server_says_when_to_come_back() -> None:
    with serve(answering("", 429, Retry_After="7")) as url, pytest.raises(EhrUnreachable) as raised:
        BackendToken(BackendClient(f"{url}/fhir", CLIENT, KEY, SCOPE, f"{url}/token")).bearer()
    assert raised.value.retry_after_s == 7


def test_a_token_server_that_drips_is_left_after_the_time_of_one_answer() -> None:
    app, begun = Flask("dripping"), []

    @app.post("/token")
    def token() -> Response:
        def drips() -> Iterator[bytes]:
            begun.append(True)
            for _ in range(20):
                yield b" "
                sleep(0.05)

        return Response(drips(), content_type="application/json")

    with serve(app) as url:
        source = BackendToken(BackendClient(f"{url}/fhir", CLIENT, KEY, SCOPE, f"{url}/token"), timeout_s=0.2)
        with pytest.raises(EhrUnreachable, match=r"did not answer within 0\.2 s"):
            source.bearer()
    assert begun


def test_an_answer_that_is_larger_than_any_is_left_before_it_is_all_here() -> None:
    app = Flask("flooding")
    packed = gzip.compress(bytes(300 << 20), compresslevel=1)
    headers = {"Content-Encoding": "gzip"}
    app.add_url_rule("/token", view_func=lambda: Response(packed, headers=headers), methods=["POST"])

    with serve(app) as url, pytest.raises(EhrAnswerBroken, match="larger than 268435456 bytes"):
        BackendToken(BackendClient(f"{url}/fhir", CLIENT, KEY, SCOPE, f"{url}/token")).bearer()


def test_a_token_server_that_does_not_run_is_unreachable() -> None:
    client = BackendClient("http://127.0.0.1:9/fhir", CLIENT, KEY, SCOPE)
    assert "http://127.0.0.1:9;" in refused(client, EhrUnreachable)


@pytest.mark.parametrize("named", ["https://evil.example/token", "//evil.example/token", "token", "", "http://["])
def test_a_token_address_elsewhere_is_not_believed(named: str) -> None:
    with serve(answering({"token_endpoint": named})) as url:
        message = refused(BackendClient(f"{url}/fhir", CLIENT, KEY, SCOPE), UntrustedServer)
    assert "refused" in message or "set token_url" in message


@pytest.mark.parametrize("known", [{}, {"token_endpoint": None}, {"token_endpoint": ["https://evil.example"]}])
def test_a_server_that_names_no_token_address_is_told_so(known: dict[str, Any]) -> None:
    with serve(answering(known)) as url:
        assert "set token_url" in refused(BackendClient(f"{url}/fhir", CLIENT, KEY, SCOPE), EhrAnswerBroken)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_an_assertion_is_never_sent_on_by_a_redirect(server: TokenServer, code: int) -> None:
    with serve(server.app()) as elsewhere:
        app = Flask("redirecting")
        app.add_url_rule("/away", "away", lambda: redirect(f"{elsewhere}/token", code), methods=["POST"])
        app.add_url_rule("/here", "here", lambda: redirect("/token", code), methods=["POST"])
        app.add_url_rule("/token", view_func=server.token, methods=["GET", "POST"])
        with serve(app) as url:
            client = BackendClient(f"{url}/fhir", CLIENT, KEY, SCOPE)
            refused(replace(client, token_url=f"{url}/away"), UntrustedServer)
            refused(replace(client, token_url=f"{url}/here"), EhrAnswerBroken)
    assert server.forms == []


def test_the_night_is_the_client_of_the_settings_and_reads_with_its_token(server: TokenServer, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(EC.as_pem(private=True))
    server.clock = lambda: datetime.now(UTC)
    app = server.app()
    patient = {"resourceType": "Patient", "id": "p1"}
    app.add_url_rule(
        "/fhir/Patient/p1",
        view_func=lambda: patient if request.headers["Authorization"] == "Bearer token-1" else ("", 401),
    )
    with serve(app) as url:
        settings = EhrSettings(name="main", fhir_server=f"{url}/fhir", client_id=CLIENT, private_key_file=key)
        with night_client(settings) as ehr:
            assert ehr.read("Patient/p1") == patient
    assert server.forms[0]["scope"] == settings.asked_scope


def test_a_night_without_its_key_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    missing = tmp_path / "key.pem"
    settings = EhrSettings(
        name="main", fhir_server="http://127.0.0.1:9/fhir", client_id=CLIENT, private_key_file=missing
    )
    with pytest.raises(SettingsError, match=r"'key\.pem' cannot be read"):
        night_client(settings)


def test_a_token_source_shows_neither_key_nor_token(server: TokenServer, client: BackendClient) -> None:
    tokens = BackendToken(client, now=server.clock)
    token = tokens.bearer()
    shown = repr(tokens) + str(vars(tokens)) + repr(token) + repr(client)
    assert "token-1" not in shown
    assert str(EC.as_dict(private=True)["d"]) not in shown
