"""The page as a client of an EHR that is strict: what it sends, and what it takes for a grant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask import Flask

from cds.addresses import Destinations
from cds.demo.loopback import serve, take_place
from cds.errors import EhrAnswerBroken, EhrUnreachable, LaunchRefused, UntrustedServer
from cds.pages.smart.client import Begun, Grant, SmartClient
from tests.cds.builders import Clock
from tests.smart_server import USER, Client, SmartServer

BACK = "https://cds.example/smart/callback"
BEGUN = Begun("main", "s" * 43, "a-nonce", "v" * 43)
SCOPE = "launch openid fhirUser patient/Patient.r"


@pytest.fixture(scope="module")
def running() -> Iterator[SmartServer]:
    """One EHR for the module."""
    listening, address = take_place()
    server = SmartServer(address, Clock(), {})
    with serve(server.app(), at=listening):
        yield server


@pytest.fixture
def ehr(running: SmartServer) -> SmartServer:
    """That EHR as it is from the start."""
    running.client = Client("page", BACK)
    running.configuration, running.context, running.claims = {}, {}, {}
    running.forms.clear()
    return running


def client(ehr: SmartServer, **changes: Any) -> SmartClient:
    return SmartClient(ehr.fhir, "page", SCOPE, **changes)


def code(ehr: SmartServer, page: SmartClient, app_context: object = "card-1") -> str:
    """What the EHR sends the browser back with."""
    launch = parse_qs(urlsplit(ehr.launch("https://cds.example/launch", "p1", app_context)).query)["launch"][0]
    asked = requests.get(page.authorization_url(launch, BEGUN, BACK), timeout=10)
    action = asked.text.partition('action="')[2].partition('"')[0]
    form = {"answer": "Allow"}
    back = requests.post(f"{ehr.address}{action}", form, timeout=10, allow_redirects=False).headers["Location"]
    return parse_qs(urlsplit(back).query)["code"][0]


def granted(ehr: SmartServer, begun: Begun = BEGUN, issuer: str | None = None, **changes: Any) -> Grant:
    page = client(ehr, **changes)
    return page.grant(code(ehr, page), issuer, begun, BACK, ehr.clock())


def test_a_code_is_exchanged_for_patient_user_and_card(ehr: SmartServer) -> None:
    grant = granted(ehr, issuer=ehr.address)

    assert (grant.patient_id, grant.user_id, grant.card, grant.needs_banner) == ("p1", USER, "card-1", True)
    assert not [one for one in ("p1", USER, grant.access_token) if one in repr(grant)]


def test_a_client_with_a_secret_proves_itself_by_it_and_not_in_the_form(ehr: SmartServer) -> None:
    ehr.client = Client("page", BACK, "the-secret-of-the-page")

    assert granted(ehr, secret="the-secret-of-the-page").patient_id == "p1"
    assert "the-secret-of-the-page" not in str(ehr.forms)
    with pytest.raises(LaunchRefused, match="did not accept this launch"):
        granted(ehr, secret="another")
    assert "the-secret" not in repr(client(ehr, secret="the-secret-of-the-page"))


def test_a_code_is_good_once(ehr: SmartServer) -> None:
    page = client(ehr)
    given = code(ehr, page)
    page.grant(given, None, BEGUN, BACK, ehr.clock())

    with pytest.raises(LaunchRefused, match="may have been used already") as caught:
        page.grant(given, None, BEGUN, BACK, ehr.clock())
    assert given not in str(caught.value)


def test_a_stolen_code_is_worth_nothing_without_the_verifier(ehr: SmartServer) -> None:
    with pytest.raises(LaunchRefused, match="did not accept this launch"):
        granted(ehr, Begun("main", BEGUN.state, BEGUN.nonce, "w" * 43))


def test_an_answer_of_another_issuer_is_refused_before_its_code_is_used(ehr: SmartServer) -> None:
    with pytest.raises(LaunchRefused, match="is not of the EHR that it was begun with"):
        granted(ehr, issuer="https://evil.example")
    assert ehr.forms == []


def test_where_the_ehr_always_says_whose_an_answer_is_one_that_does_not_is_refused(ehr: SmartServer) -> None:
    ehr.configuration = {"authorization_response_iss_parameter_supported": True}

    assert granted(ehr, issuer=ehr.address).patient_id == "p1"
    ehr.forms.clear()
    with pytest.raises(LaunchRefused, match="is not of the EHR that it was begun with"):
        granted(ehr)
    assert ehr.forms == []


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ({"id_token": None}, "did not say who is looking"),
        ({"patient": None}, "did not say whose chart is open"),
        ({"patient": "../Practitioner/1"}, "did not say whose chart is open"),
        ({"patient": 7}, "did not say whose chart is open"),
        ({"appContext": 7}, "appContext"),
        ({"appContext": {"card": "x"}}, "appContext"),
        ({"appContext": "\0"}, "appContext"),
        ({"appContext": "\ud800"}, "appContext"),
        ({"token_type": "mac"}, "no token of the type bearer"),
        ({"access_token": None}, "no token of the type bearer"),
        ({"access_token": 7}, "no token of the type bearer"),
    ],
)
def test_a_grant_that_lacks_what_the_page_needs_is_refused(
    ehr: SmartServer, context: dict[str, Any], said: str
) -> None:
    ehr.context = context

    with pytest.raises(LaunchRefused, match=said):
        granted(ehr)


@pytest.mark.parametrize("context", [{"appContext": ""}, {"appContext": None}])
def test_an_ehr_that_keeps_nothing_of_the_card_grants_for_the_patient_alone(
    ehr: SmartServer, context: dict[str, Any]
) -> None:
    ehr.context = context

    assert granted(ehr).card is None


@pytest.mark.parametrize(("told", "needed"), [(False, False), (True, True), (None, True), ("false", True)])
def test_the_banner_is_left_out_only_where_the_ehr_says_so(ehr: SmartServer, told: object, needed: bool) -> None:
    ehr.context = {"need_patient_banner": told}

    assert granted(ehr).needs_banner is needed


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (500, "{}", EhrUnreachable),
        (200, "<html>", EhrAnswerBroken),
        (302, "", EhrAnswerBroken),
        *((200, odd, EhrAnswerBroken) for odd in ("[]", "null", "7", '"a text"', "[" * 100_000)),
        (200, '{"expires_in": "soon"}', EhrAnswerBroken),
        (200, '{"expires_in": {"s": 300}}', EhrAnswerBroken),
        (200, '{"expires_in": Infinity}', EhrAnswerBroken),
    ],
)
def test_a_token_address_that_fails_is_told_apart_from_a_refusal(
    ehr: SmartServer, status: int, body: str, error: type[Exception]
) -> None:
    broken = Flask("broken", static_folder=None)
    broken.add_url_rule("/token", view_func=lambda: (body, status, {"Location": "/"}), methods=["POST"])
    with serve(broken) as address:
        ehr.configuration = {"token_endpoint": f"{address}/token"}
        with pytest.raises(error):
            granted(ehr, authorization_server=address)


def test_an_ehr_that_is_not_there_or_too_slow_is_unreachable(ehr: SmartServer) -> None:
    with pytest.raises(EhrUnreachable, match="no answer"):
        SmartClient("http://127.0.0.1:9/fhir", "page", SCOPE).configuration()
    with pytest.raises(EhrUnreachable, match="did not answer within 5 s"):
        client(ehr, clock_s=iter(range(0, 10_000, 100)).__next__).configuration()


def test_an_address_inside_that_a_name_stands_for_is_not_connected_to(ehr: SmartServer) -> None:
    port = urlsplit(ehr.address).port
    inside = Destinations(resolve=lambda host, port: ["127.0.0.1"])

    with pytest.raises(UntrustedServer):
        SmartClient(f"http://ehr.example:{port}/fhir", "page", SCOPE, destinations=inside).configuration()
