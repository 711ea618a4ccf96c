"""The SMART configuration of an EHR: read whole or not at all, and its endpoints are where they may be."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from cds.errors import EhrAnswerBroken, EhrUnreachable, MammoTrendError, UntrustedServer
from cds.pages.smart.configuration import SmartConfiguration, read_configuration

FHIR = "https://ehr.example/r4"
TOLD: dict[str, Any] = {
    "authorization_endpoint": "https://ehr.example/authorize",
    "token_endpoint": "https://ehr.example/token",
    "jwks_uri": "https://ehr.example/keys",
    "issuer": "https://ehr.example",
    "code_challenge_methods_supported": ["plain", "S256"],
}


def read(body: object, status: int = 200, authorization_server: str | None = None) -> SmartConfiguration:
    asked: list[str] = []

    def ask(url: str) -> requests.Response:
        asked.append(url)
        answer = requests.Response()
        answer.status_code = status
        answer._content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return answer

    told = read_configuration(FHIR, authorization_server, ask)
    assert asked == ["https://ehr.example/r4/.well-known/smart-configuration"]
    return told


def test_it_is_read_from_its_well_known_place() -> None:
    told = read(TOLD)

    assert told.authorization_endpoint == "https://ehr.example/authorize"
    assert (told.token_endpoint, told.jwks_uri) == ("https://ehr.example/token", "https://ehr.example/keys")
    assert told.issuer == "https://ehr.example"


@pytest.mark.parametrize(("said", "is_sent"), [(None, False), (False, False), ("true", False), (True, True)])
def test_whether_answers_say_whose_they_are_is_read_from_it(said: object, is_sent: bool) -> None:
    assert read(TOLD | {"authorization_response_iss_parameter_supported": said}).is_issuer_sent is is_sent


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "issuer"])
@pytest.mark.parametrize("value", [None, "", 7, ["x"]])
def test_one_that_lacks_an_address_cannot_be_used(name: str, value: object) -> None:
    with pytest.raises(EhrAnswerBroken, match=f"has no {name}"):
        read(TOLD | {name: value})


@pytest.mark.parametrize("methods", [None, [], ["plain"], "S256", [["S256"]]])
def test_without_pkce_by_s256_it_cannot_be_used(methods: object) -> None:
    with pytest.raises(EhrAnswerBroken, match="offers no PKCE with S256"):
        read(TOLD | {"code_challenge_methods_supported": methods})


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
def test_an_endpoint_elsewhere_is_not_used_unless_the_site_has_named_that_server(name: str) -> None:
    elsewhere = TOLD | {name: "https://login.example/path"}

    with pytest.raises(UntrustedServer, match=f"has its {name} elsewhere, at https://login.example:443; .* set auth"):
        read(elsewhere)
    assert getattr(read(elsewhere, authorization_server="https://login.example/oauth"), name).endswith("/path")


def test_a_login_page_over_plain_http_is_not_used() -> None:
    insecure = TOLD | {"authorization_endpoint": "http://ehr.example/authorize"}

    with pytest.raises(UntrustedServer, match="plain http"):
        read(insecure, authorization_server="http://ehr.example")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (503, {}, EhrUnreachable),
        (429, {}, EhrUnreachable),
        (404, TOLD, EhrAnswerBroken),
        (302, TOLD, EhrAnswerBroken),
        (200, b"<html>", EhrAnswerBroken),
        (200, [TOLD], EhrAnswerBroken),
        (200, b"[" * 100_000, EhrAnswerBroken),
    ],
)
def test_an_answer_that_is_none_is_told_apart(status: int, body: object, error: type[MammoTrendError]) -> None:
    with pytest.raises(error):
        read(body, status)
