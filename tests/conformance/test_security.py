"""Section 9 of the checklist: who is answered, what a token must be, and what comes from outside stays text."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from joserfc.jwk import ECKey, OctKey
from sqlalchemy import Engine

from cds.store.seen_tokens import SeenTokens
from cds.trust.clients import ClientTrust
from cds.web.app import Front, create_app
from tests.cds.builders import NOW, Json
from tests.cds.trust.callers import EC, LEFT_OUT, PUBLIC_URL, RSA, bearer, claims, client, header, signed
from tests.cds.web.conftest import Service
from tests.conformance.calls import CALLS, ORDER_SELECT, address, whole
from tests.conformance.family import parts_of

NOW_S = int(NOW.timestamp())
PAGE = "https://ehr-page.example"
JWKS = "https://ehr.example/jwks"
FEEDBACK: Json = {"feedback": []}
ENDPOINTS = [(f"{address(one)}{end}", FEEDBACK if end else whole(one)) for one in CALLS for end in ("", "/feedback")]
every_endpoint = pytest.mark.parametrize(("path", "body"), ENDPOINTS, ids=[path for path, _ in ENDPOINTS])


@pytest.fixture
def caller(service: Service, engine: Engine) -> FlaskClient:
    """A client of the service as it stands behind a hospital's proxy, open to the scripts of one page."""
    trust = ClientTrust([client(key_address=JWKS)], SeenTokens(engine))
    return create_app(replace(service.parts(), trust=trust, public_url=PUBLIC_URL), Front((PAGE,))).test_client()


def token(path: str, head: Json | None = None, /, **changes: Any) -> str:
    """The Authorization header of a call of this path, with changes to its token."""
    return bearer(signed(header(**(head or {})), claims(**({"aud": PUBLIC_URL + path} | changes))))


def send(caller: FlaskClient, path: str, body: Any, authorization: str | None) -> Any:
    headers = {} if authorization is None else {"Authorization": authorization}
    return caller.post(path, json=body, headers=headers)


def assert_bare(answer: Any) -> None:
    assert (answer.status_code, answer.data) == (401, b"")


@pytest.mark.parametrize("path", ["/cds-services", *(path for path, _ in ENDPOINTS)])
def test_S1_every_endpoint_has_browsers_insist_on_https(caller: FlaskClient, path: str) -> None:
    assert PUBLIC_URL.startswith("https://")
    for method in ("GET", "POST", "OPTIONS"):
        assert caller.open(path, method=method).headers["Strict-Transport-Security"] == "max-age=31536000"


@every_endpoint
def test_S2_S11_without_a_token_there_is_a_bare_401_and_with_one_an_answer(
    caller: FlaskClient, path: str, body: Json
) -> None:
    assert_bare(send(caller, path, body, None))
    assert send(caller, path, body, token(path)).status_code == 200


def test_D9_discovery_needs_no_token(caller: FlaskClient) -> None:
    assert caller.get("/cds-services").status_code == 200


@every_endpoint
@pytest.mark.parametrize("head", [{"alg": LEFT_OUT}, {"kid": LEFT_OUT}, {"typ": LEFT_OUT}, {"typ": "at+jwt"}])
def test_S3_S11_a_token_without_a_required_header_is_refused(
    caller: FlaskClient, path: str, body: Json, head: Json
) -> None:
    assert_bare(send(caller, path, body, token(path, head)))


@every_endpoint
@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "iat", "jti"])
def test_S4_S11_a_token_without_a_required_claim_is_refused(
    caller: FlaskClient, path: str, body: Json, claim: str
) -> None:
    for nothing in (LEFT_OUT, None, ""):
        assert_bare(send(caller, path, body, token(path, None, **{claim: nothing})))


@every_endpoint
@pytest.mark.parametrize(
    "times",
    [{"exp": NOW_S - 120}, {"iat": NOW_S + 120}, {"nbf": NOW_S + 120}, {"exp": NOW_S + 86_400}, {"exp": "soon"}],
)
def test_S4_S11_a_token_that_is_not_for_this_moment_is_refused(
    caller: FlaskClient, path: str, body: Json, times: Json
) -> None:
    assert_bare(send(caller, path, body, token(path, **times)))


@every_endpoint
def test_S5_B5_a_token_is_for_the_public_address_of_its_own_endpoint(
    caller: FlaskClient, path: str, body: Json
) -> None:
    others = [other for other, _ in ENDPOINTS if other != path] + ["/cds-services", ""]
    for other in (*(PUBLIC_URL + one for one in others), f"http://localhost{path}"):
        assert_bare(send(caller, path, body, token(path, aud=other)))

    several = [f"{PUBLIC_URL}/other", PUBLIC_URL + path]
    assert send(caller, path, body, token(path, aud=several)).status_code == 200


@every_endpoint
def test_S6_issuers_and_key_addresses_that_are_not_listed_are_refused(
    caller: FlaskClient, path: str, body: Json
) -> None:
    assert_bare(send(caller, path, body, token(path, iss="https://evil.example")))
    assert_bare(send(caller, path, body, token(path, {"jku": "https://evil.example/jwks"})))
    assert send(caller, path, body, token(path, {"jku": JWKS})).status_code == 200


@every_endpoint
def test_S7_unsigned_tokens_are_refused(caller: FlaskClient, path: str, body: Json) -> None:
    unsigned = signed(header(alg="none"), claims(aud=PUBLIC_URL + path)).rpartition(".")[0]

    assert_bare(send(caller, path, body, bearer(f"{unsigned}.")))


@every_endpoint
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # of the key, which only an attacker makes
def test_S7_a_public_key_is_no_shared_secret(caller: FlaskClient, path: str, body: Json, algorithm: str) -> None:
    public = RSA.as_pem(private=False)
    forged = signed(
        header(alg=algorithm, kid="rsa-1"), claims(aud=PUBLIC_URL + path), OctKey(public, public), algorithm
    )

    assert_bare(send(caller, path, body, bearer(forged)))


@every_endpoint
def test_S9_S11_a_token_is_signed_by_the_key_that_it_names(caller: FlaskClient, path: str, body: Json) -> None:
    told = claims(aud=PUBLIC_URL + path)
    for key, key_id in ((ECKey.generate_key("P-384"), "ec-1"), (EC, "ec-2"), (EC, "rsa-1")):
        assert_bare(send(caller, path, body, bearer(signed(header(kid=key_id), told, key))))


@pytest.mark.parametrize(("algorithm", "is_taken"), [("RS384", True), ("RS256", False), ("RS512", False)])
def test_S8_the_sites_settings_say_which_algorithms_are_trusted(
    caller: FlaskClient, algorithm: str, is_taken: bool
) -> None:
    path = address(ORDER_SELECT)
    made = signed(header(alg=algorithm, kid="rsa-1"), claims(aud=PUBLIC_URL + path), RSA, algorithm)

    assert send(caller, path, whole(ORDER_SELECT), bearer(made)).status_code == (200 if is_taken else 401)


@every_endpoint
def test_S10_a_token_is_accepted_once(caller: FlaskClient, path: str, body: Json) -> None:
    once = token(path)

    assert send(caller, path, body, once).status_code == 200
    assert_bare(send(caller, path, body, once))


@every_endpoint
@pytest.mark.parametrize("more", [{"nbf": NOW_S - 300, "exp": NOW_S + 900}, {"sub": "app"}, {"iat": NOW_S + 30}])
def test_S13_what_clients_add_is_tolerated_and_clocks_may_differ(
    caller: FlaskClient, path: str, body: Json, more: Json
) -> None:
    assert send(caller, path, body, token(path, **more)).status_code == 200


@every_endpoint
def test_S14_a_browser_asks_without_a_token_and_can_read_why_it_is_refused(
    caller: FlaskClient, path: str, body: Json
) -> None:
    asked = caller.options(path, headers={"Origin": PAGE, "Access-Control-Request-Method": "POST"})
    refused = caller.post(path, json=body, headers={"Origin": PAGE})

    for answer, status in ((asked, 200), (refused, 401)):
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert set(answer.headers["Access-Control-Allow-Methods"].split(", ")) >= {"GET", "POST"}
        assert set(answer.headers["Access-Control-Allow-Headers"].split(", ")) >= {"Authorization", "Content-Type"}


def test_S16_no_angle_bracket_from_outside_reaches_a_client(cards: list[Json]) -> None:
    texts = [part for card in cards for part in parts_of(card) if isinstance(part, str)]

    assert [text for text in texts if "onerror" in text]
    assert not [text for text in texts if re.search(r"<(?!https://www\.nccn\.org/)", text)]
