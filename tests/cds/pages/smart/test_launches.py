"""A launch by the EHR: to the page of its own card and patient, and to nothing else, whatever is altered on the way."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import base64
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from http.cookies import SimpleCookie
from threading import Event, Semaphore
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from werkzeug.test import TestResponse

from cds.errors import EhrUnreachable
from cds.pages.smart.client import SmartClient
from cds.pages.smart.configuration import SmartConfiguration
from cds.pages.smart.launches import LAUNCHED_AT_ONCE, PAGE_COOKIE
from fhir_mappings.access_events import AccessEvent, AccessOutcome, Action, Read, ReadFrom
from fhir_mappings.audit_events import AuditSource, ChainLink, audit_event
from hooks.site import Mode
from tests.cds.builders import EHR, IDENTIFIER, PATIENT, fhir_patient
from tests.cds.pages.smart.conftest import HOME, SCOPE, LaunchingSite
from tests.cds.pages.test_trajectory_page import seen, words
from tests.smart_server import USER

OTHER = "p2"


def refused(launching: LaunchingSite, answer: TestResponse, said: str, status: int = 403) -> None:
    """Nothing of any patient is shown, a person is told why, and it is written down."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "text/html"
    assert said in words(answer)
    assert not [one for one in ("<svg", "6.6", "2026-05-03", "Ada Example", PATIENT + " ") if one in answer.text]
    assert seen(launching.site, Action.SEEN) == []
    (noted,) = seen(launching.site, Action.CALLER_REFUSED)
    assert noted.outcome is AccessOutcome.REFUSED
    assert (noted.patient_id, noted.user_id) == (None, None)


def test_C16_C17_the_card_of_such_an_ehr_has_a_smart_link_with_its_number_and_no_more(
    launching: LaunchingSite,
) -> None:
    card = launching.card()

    assert card["links"] == [
        {
            "label": "Show the scores over time",
            "url": f"{HOME}/smart/launch",
            "type": "smart",
            "appContext": card["uuid"],
        }
    ]


def test_a_launch_from_the_card_leads_to_its_page(launching: LaunchingSite) -> None:
    card = launching.card()

    page = launching.page(app_context=card["uuid"])

    assert page.status_code == 200
    assert "increased 5-year image-based score 6.6 %" in words(page)
    assert "Ada Example , born 1974-02-01" in words(page)


def test_the_ehr_is_asked_as_the_standard_has_it(launching: LaunchingSite) -> None:
    url = launching.ehr.launch(launching.launch_url, PATIENT)

    asked = {name: value[0] for name, value in parse_qs(urlsplit(launching.asked(url)).query).items()}

    assert asked["response_type"] == "code"
    assert asked["client_id"] == "mammotrend-page"
    assert asked["redirect_uri"] == f"{HOME}/smart/callback"
    assert asked["scope"] == SCOPE
    assert asked["aud"] == launching.ehr.fhir
    assert asked["launch"] == parse_qs(urlsplit(url).query)["launch"][0]
    assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 43)
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3


def test_the_address_of_the_page_holds_no_token_and_opens_nothing_in_another_browser(launching: LaunchingSite) -> None:
    card = launching.card()
    back = launching.launched(app_context=card["uuid"])
    address = back.headers["Location"]
    assert address == f"{HOME}/smart/page/{card['uuid']}"

    launching.set_up()  # a browser that has no cookie

    refused(launching, launching.get(address), "This page is opened from a chart of your EHR")


def test_without_the_cards_number_the_newest_card_of_the_patient_is_shown(launching: LaunchingSite) -> None:
    launching.card()
    launching.site.service.clock.advance(timedelta(minutes=5))
    newest = launching.site.card("1.2.1")

    assert launching.launched().headers["Location"].endswith(newest["uuid"])


def test_where_no_card_was_shown_the_page_says_so_and_that_somebody_looked_is_written_down(
    launching: LaunchingSite,
) -> None:
    launching.site.score("1.2.1", 0.066, date(2026, 5, 3))

    answer = launching.launched()

    assert answer.status_code == 200
    assert "No card was shown for the patient whose chart is open" in words(answer)
    assert "6.6" not in answer.text
    (looked,) = seen(launching.site, Action.SEEN)
    assert (looked.patient_id, looked.user_id, looked.study_uid) == (PATIENT, USER, None)


def test_a_withheld_card_opens_no_page(launching: LaunchingSite) -> None:
    launching.site.service.mode = Mode.SILENT
    launching.set_up()
    launching.site.score("1.2.1", 0.066, date(2026, 5, 3))

    assert "No card was shown" in words(launching.launched())


def test_who_saw_the_page_is_in_the_audit_trail(launching: LaunchingSite) -> None:
    launching.page(app_context=launching.card()["uuid"])

    (event,) = seen(launching.site, Action.SEEN)
    assert (event.ehr, event.patient_id, event.study_uid, event.user_id) == (EHR, PATIENT, "1.2.1", USER)
    assert event.call is not None
    assert (event.call.service, event.call.mode) == ("trajectory", "research")
    assert event.call.reads == (Read("Patient/{{context.patientId}}", ReadFrom.FHIR_SERVER),)
    exported = audit_event(event, ChainLink(1, "0" * 64, "x"), AuditSource("MammoTrend", HOME))
    assert [agent["who"].get("reference") for agent in exported["agent"]] == [None, None, USER]


def test_a_card_of_another_patient_than_the_one_in_the_chart_is_refused(launching: LaunchingSite) -> None:
    card = launching.card()
    launching.ehr.patients[OTHER] = fhir_patient(OTHER)

    answer = launching.launched(OTHER, card["uuid"])

    refused(launching, answer, "The card is of another patient than the one whose chart is open.")
    assert launching.ehr.read == []


@pytest.mark.parametrize("number", ["no such card", "' OR 1=1 --", "x" * 5000])
def test_a_card_that_is_not_on_record_is_refused(launching: LaunchingSite, number: str) -> None:
    launching.card()

    refused(launching, launching.launched(app_context=number), "is not on record any more")


@pytest.mark.parametrize("context", [{"card": "x"}, 7, ["x"], True])
def test_a_context_that_is_no_text_is_refused(launching: LaunchingSite, context: object) -> None:
    refused(launching, launching.launched(app_context=context), "appContext")


def test_a_card_of_another_ehr_is_refused(launching: LaunchingSite) -> None:
    card = launching.card()
    (calling,) = launching.site.changes["ehrs"]
    launching.site.changes["ehrs"] = (replace(calling, name="another"),)
    launching.browser = launching.site.app().test_client()

    refused(launching, launching.launched(app_context=card["uuid"]), "is not on record any more")


@pytest.mark.parametrize(
    "iss",
    [
        "",
        "https://evil.example/fhir",
        "http://127.0.0.1:9/fhir",
        "javascript:alert(1)",
        "{fhir}/../x",
        "{fhir}?x=1",
        "{fhir}x",
    ],
)
def test_an_ehr_that_is_not_configured_is_refused_and_nothing_is_asked_of_it(
    launching: LaunchingSite, iss: str
) -> None:
    query = urlencode({"iss": iss.format(fhir=launching.ehr.fhir), "launch": "x"})

    answer = launching.get(f"{launching.launch_url}?{query}")

    refused(launching, answer, "opened for an EHR that this service does not know")


@pytest.mark.parametrize("launch", [None, "", "x" * 5000])
def test_a_launch_without_its_number_is_refused(launching: LaunchingSite, launch: str | None) -> None:
    query = urlencode({"iss": launching.ehr.fhir} | ({} if launch is None else {"launch": launch}))

    refused(launching, launching.get(f"{launching.launch_url}?{query}"), "without saying for which launch")


def test_what_the_clinician_denies_is_not_shown(launching: LaunchingSite) -> None:
    url = launching.ehr.launch(launching.launch_url, PATIENT, launching.card()["uuid"])

    answer = launching.get(launching.allowed(launching.asked(url), "Deny"))

    refused(launching, answer, "The EHR did not let this page be opened: access_denied.")
    assert "no: " not in answer.text


def test_an_error_that_is_no_word_of_the_standard_is_not_repeated(launching: LaunchingSite) -> None:
    state = parse_qs(urlsplit(launching.asked(launching.ehr.launch(launching.launch_url, PATIENT))).query)["state"][0]

    answer = launching.get(f"{HOME}/smart/callback?{urlencode({'error': f'<b>{IDENTIFIER}', 'state': state})}")

    refused(launching, answer, "no reason that is known")
    assert IDENTIFIER not in answer.text


@pytest.mark.parametrize("state", ["", "x", "A" * 43, "../" * 20, "\u00e4" * 43])
def test_an_answer_with_another_state_is_refused_and_its_code_is_not_used(launching: LaunchingSite, state: str) -> None:
    launching.asked(launching.ehr.launch(launching.launch_url, PATIENT))

    answer = launching.get(f"{HOME}/smart/callback?{urlencode({'code': 'a-code', 'state': state})}")

    refused(launching, answer, "This launch was not begun in this browser, or is over already.")
    assert launching.ehr.forms == []


def test_an_answer_in_another_browser_than_the_launch_is_refused(launching: LaunchingSite) -> None:
    launching.card()
    back = launching.allowed(launching.asked(launching.ehr.launch(launching.launch_url, PATIENT)))
    launching.set_up()

    refused(launching, launching.get(back), "not begun in this browser")


def test_an_answer_is_taken_once(launching: LaunchingSite) -> None:
    launching.card()
    back = launching.allowed(launching.asked(launching.ehr.launch(launching.launch_url, PATIENT)))
    assert launching.get(back).status_code == 303

    refused(launching, launching.get(back), "or is over already")
    assert len(launching.ehr.forms) == 1


def test_a_code_that_is_used_already_is_refused_though_the_browser_kept_its_cookie(launching: LaunchingSite) -> None:
    launching.card()
    back = launching.allowed(launching.asked(launching.ehr.launch(launching.launch_url, PATIENT)))
    assert launching.browser is not None
    name = f"mammotrend-launch-{parse_qs(urlsplit(back).query)['state'][0]}"
    kept = launching.browser.get_cookie(name, "cds.example", "/smart/callback")
    assert kept is not None
    launching.get(back)
    launching.browser.set_cookie(name, kept.value, domain="cds.example", path="/smart/callback")

    refused(launching, launching.get(back), "The EHR did not accept this launch; it may have been used already.")


def test_a_launch_that_took_too_long_is_refused(launching: LaunchingSite) -> None:
    asked = launching.asked(launching.ehr.launch(launching.launch_url, PATIENT))
    launching.site.service.clock.advance(timedelta(minutes=10, seconds=1))

    refused(launching, launching.get(launching.allowed(asked)), "The time of this page is over.", 410)


def test_two_launches_at_once_do_not_end_each_other(launching: LaunchingSite) -> None:
    launching.card()
    first, second = (launching.asked(launching.ehr.launch(launching.launch_url, PATIENT)) for _ in range(2))

    assert [launching.get(launching.allowed(asked)).status_code for asked in (second, first)] == [303, 303]


def test_the_page_is_open_until_its_time_is_over(launching: LaunchingSite) -> None:
    address = launching.launched(app_context=launching.card()["uuid"]).headers["Location"]
    launching.site.service.clock.advance(timedelta(minutes=60))
    assert launching.get(address).status_code == 200

    launching.site.service.clock.advance(timedelta(seconds=1))

    answer = launching.get(address)
    assert (answer.status_code, "<svg" in answer.text) == (410, False)


def kept_page(launching: LaunchingSite, uuid: str) -> str:
    assert launching.browser is not None
    kept = launching.browser.get_cookie(PAGE_COOKIE, "cds.example", f"/smart/page/{uuid}")
    assert kept is not None
    return kept.value


@pytest.mark.parametrize(
    "spoil", [lambda kept: kept[:-4] + "AAAA", lambda kept: "", lambda kept: "{}", lambda kept: kept[3:]]
)
def test_a_cookie_that_was_altered_opens_nothing(launching: LaunchingSite, spoil: Any) -> None:
    uuid = launching.card()["uuid"]
    launching.launched(app_context=uuid)
    assert launching.browser is not None
    launching.browser.set_cookie(
        PAGE_COOKIE, spoil(kept_page(launching, uuid)), domain="cds.example", path=f"/smart/page/{uuid}"
    )

    refused(launching, launching.get(f"{HOME}/smart/page/{uuid}"), "is damaged, or is not of this service")


@pytest.mark.parametrize("is_there", [True, False])
def test_the_cookie_of_one_card_does_not_open_another(launching: LaunchingSite, is_there: bool) -> None:
    own = launching.card()["uuid"]
    other = launching.site.card("1.2.1")["uuid"] if is_there else "no-such-card"
    launching.launched(app_context=own)
    assert launching.browser is not None
    launching.browser.set_cookie(
        PAGE_COOKIE, kept_page(launching, own), domain="cds.example", path=f"/smart/page/{other}"
    )

    refused(launching, launching.get(f"{HOME}/smart/page/{other}"), "of another card than the one")


def test_the_cookies_are_for_the_server_alone_and_their_own_path_and_hide_what_they_hold(
    launching: LaunchingSite,
) -> None:
    uuid = launching.card()["uuid"]

    (cookie, ended) = (SimpleCookie(one) for one in launching.launched(app_context=uuid).headers.getlist("Set-Cookie"))

    page = cookie[PAGE_COOKIE]
    assert (page["path"], page["httponly"], page["secure"], page["samesite"]) == (
        f"/smart/page/{uuid}",
        True,
        True,
        "Lax",
    )
    assert page["max-age"] == "3600"
    readable = base64.urlsafe_b64decode(page.value)
    assert not [one for one in ("Example", "patient", "banner", USER, uuid) if one.encode() in readable]
    assert [one["max-age"] for one in ended.values()] == ["0"]


def test_in_a_frame_of_the_ehr_the_cookies_are_sent_and_nobody_else_may_frame_the_page(
    launching: LaunchingSite,
) -> None:
    launching.site.frame_ancestors = ("https://ehr.example", "https://other.example")
    launching.set_up()

    back = launching.launched(app_context=launching.card()["uuid"])

    for cookie in back.headers.getlist("Set-Cookie"):
        assert {"Secure", "SameSite=None", "Partitioned"} <= set(cookie.split("; "))
    policy = launching.get(back.headers["Location"]).headers["Content-Security-Policy"]
    assert policy.endswith("frame-ancestors https://ehr.example https://other.example")


def test_behind_a_path_of_the_proxy_the_cookies_are_for_that_path(launching: LaunchingSite) -> None:
    launching.site.address = f"{HOME}/mammotrend"
    launching.set_up()

    answer = launching.get(launching.ehr.launch(launching.launch_url, PATIENT))

    assert "Path=/mammotrend/smart/callback" in answer.headers["Set-Cookie"]


def test_who_is_looking_must_be_the_ehrs_own_word_for_this_launch(launching: LaunchingSite) -> None:
    launching.card()
    launching.ehr.claims = {"nonce": "of another launch"}

    refused(launching, launching.launched(), "it is of another launch")
    assert launching.ehr.read == []


def test_an_answer_that_says_it_is_of_another_server_is_refused(launching: LaunchingSite) -> None:
    launching.card()
    back = launching.allowed(launching.asked(launching.ehr.launch(launching.launch_url, PATIENT)))

    refused(
        launching, launching.get(f"{back}&iss=https%3A%2F%2Fevil.example"), "is not of the EHR that it was begun with"
    )


def test_an_ehr_whose_configuration_will_not_do_gets_no_launch(launching: LaunchingSite) -> None:
    launching.ehr.configuration = {"code_challenge_methods_supported": ["plain"]}

    answer = launching.get(launching.ehr.launch(launching.launch_url, PATIENT))

    assert answer.status_code == 502
    assert "offers no PKCE with S256" in words(answer)


def test_an_ehr_that_does_not_answer_is_told_apart_from_a_refusal(launching: LaunchingSite) -> None:
    launching.smart["clock_s"] = iter(range(0, 10_000, 100)).__next__
    launching.set_up()

    answer = launching.get(launching.ehr.launch(launching.launch_url, PATIENT))

    assert answer.status_code == 504
    assert "did not answer within 5 s" in words(answer)
    assert seen(launching.site, Action.CALLER_REFUSED) == []


@dataclass(frozen=True)
class SilentEhr(SmartClient):
    """The client of an EHR that does not answer until it is told to."""

    begun: Semaphore = field(default_factory=lambda: Semaphore(0))
    may_answer: Event = field(default_factory=Event)

    def configuration(self) -> SmartConfiguration:
        """Nothing, and after a long time."""
        self.begun.release()
        assert self.may_answer.wait(60)
        raise EhrUnreachable("no answer")


def test_a_silent_ehr_keeps_no_launch_of_another_waiting(launching: LaunchingSite) -> None:
    (calling,) = launching.site.changes["ehrs"]
    silent = SilentEhr("https://two.example/r4", "client", SCOPE)
    other = replace(calling, name="ehr-2", fhir_server=silent.fhir_server, smart=silent)
    launching.site.changes["ehrs"] = (calling, other)
    app = launching.site.app()
    url = launching.ehr.launch(launching.launch_url, PATIENT).removeprefix(HOME)
    theirs = f"/smart/launch?launch=x&iss={silent.fhir_server}"

    with ThreadPoolExecutor(LAUNCHED_AT_ONCE) as threads:
        waiting = [threads.submit(lambda: app.test_client().get(theirs).status_code) for _ in range(LAUNCHED_AT_ONCE)]
        assert all(silent.begun.acquire(timeout=60) for _ in range(LAUNCHED_AT_ONCE // 2))
        begun = app.test_client().get(url)
        silent.may_answer.set()

    assert begun.status_code == 302
    assert {one.result() for one in waiting} <= {503, 504}


def test_launches_that_wait_for_a_silent_ehr_are_bounded_and_keep_no_open_page_waiting(
    launching: LaunchingSite,
) -> None:
    card = launching.card()
    url = launching.ehr.launch(launching.launch_url, PATIENT).removeprefix(HOME)
    (calling,) = launching.site.changes["ehrs"]
    silent = SilentEhr(launching.ehr.fhir, "client", SCOPE)
    launching.site.changes["ehrs"] = (replace(calling, smart=silent),)
    app = launching.site.app()

    with ThreadPoolExecutor(LAUNCHED_AT_ONCE) as threads:
        waiting = [threads.submit(lambda: app.test_client().get(url).status_code) for _ in range(LAUNCHED_AT_ONCE)]
        assert all(silent.begun.acquire(timeout=60) for _ in waiting)
        page = app.test_client().get(launching.site.links.url(card["uuid"], EHR).removeprefix(HOME))
        further = app.test_client().get(url)
        silent.may_answer.set()

    assert page.status_code == 200
    assert (further.status_code, further.headers["Retry-After"]) == (503, "1")
    assert [one.result() for one in waiting] == [504] * LAUNCHED_AT_ONCE


def test_where_the_ehr_shows_the_patient_itself_she_is_not_read(launching: LaunchingSite) -> None:
    launching.ehr.context = {"need_patient_banner": False}

    page = launching.page(app_context=launching.card()["uuid"])

    assert launching.ehr.read == []
    assert "This page names no patient" in words(page)
    assert "<td>52</td>" in page.text  # her age is the card's


def test_a_patient_who_cannot_be_read_is_not_silently_left_out(launching: LaunchingSite) -> None:
    launching.ehr.patients.clear()

    page = launching.page(app_context=launching.card()["uuid"])

    assert page.status_code == 200
    assert "Whose scores these are could not be read from the EHR." in words(page)
    (event,) = seen(launching.site, Action.SEEN)
    assert event.call is not None
    assert [read.source for read in event.call.reads] == [ReadFrom.NOWHERE]


def test_with_the_banner_the_table_has_her_age_at_each_exam(launching: LaunchingSite) -> None:
    uuid = launching.card()["uuid"]
    assert "<td>52</td>" in launching.page(app_context=uuid).text

    launching.ehr.patients[PATIENT]["birthDate"] = "2030-01-01"
    assert "<td>not known</td>" in launching.page(app_context=uuid).text


def test_whatever_the_chart_calls_her_stays_text(launching: LaunchingSite) -> None:
    launching.ehr.patients[PATIENT]["name"] = [{"text": "<script>alert(1)</script> \u202eAda"}]

    page = launching.page(app_context=launching.card()["uuid"])

    assert "<script" not in page.text
    assert "\u202e" not in page.text
    assert "alert(1)" in words(page)


def test_a_name_that_is_written_from_the_right_leaves_the_birth_date_where_it_is(launching: LaunchingSite) -> None:
    launching.ehr.patients[PATIENT]["name"] = [{"text": "\u05d0\u05d3\u05d4 (2)"}]

    page = launching.page(app_context=launching.card()["uuid"])

    assert "<bdi>\u05d0\u05d3\u05d4 (2)</bdi></strong>, born 1974-02-01" in page.text


def test_nothing_of_the_launch_is_logged(launching: LaunchingSite, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    uuid = launching.card()["uuid"]
    caplog.clear()
    launching.page(app_context=uuid)
    launching.ehr.claims = {"iss": "https://evil.example"}
    launching.launched(app_context=uuid)

    said = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("cds"))
    assert not [one for one in (PATIENT, "Ada", USER, uuid, IDENTIFIER) if one in said]
    assert isinstance(seen(launching.site, Action.SEEN)[0], AccessEvent)
