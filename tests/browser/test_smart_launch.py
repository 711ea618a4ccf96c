"""A SMART launch in a real browser, from an EHR on another site: to the page, or to nothing where it is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from cds.demo.loopback import serve, take_place
from cds.pages.smart.launches import PAGE_COOKIE
from tests.browser.axe import serious_faults
from tests.browser.paper import curves, on_every_sheet, sheets
from tests.browser.test_trajectory_page import new_page
from tests.cds.builders import EHR, PATIENT, fhir_patient
from tests.cds.conftest import engine
from tests.cds.pages.conftest import Site, site
from tests.cds.pages.smart.conftest import ADA, LaunchingSite
from tests.smart_server import SmartServer

__all__ = ["engine", "site"]

pytestmark = pytest.mark.integration

OTHER = "p2"


@dataclass
class Running:
    """A site and its EHR, both reached by a browser; `card` is the number of a card of its patient."""

    ehr: SmartServer
    site: Site
    card: str

    def launch(self, patient_id: str = PATIENT, app_context: object = None) -> str:
        """The address that the link of the card opens in the EHR."""
        return self.ehr.launch(f"{self.site.address}/smart/launch", patient_id, app_context or self.card)


@contextmanager
def both(site: Site) -> Iterator[Running]:
    """Serve them, the EHR under another name, which to a browser is another site."""
    (at_site, site.address), (at_ehr, address) = take_place(), take_place()
    ehr = SmartServer(address.replace("127.0.0.1", "localhost"), site.service.clock, {PATIENT: fhir_patient(**ADA)})
    site.frame_ancestors = (ehr.address,)
    for year, risk in {2024: 0.021, 2025: 0.026, 2026: 0.066}.items():
        site.score(f"1.2.{year}", risk, date(year, 5, 3))
    with serve(ehr.app(), at=at_ehr):
        LaunchingSite(site, ehr).set_up()
        with serve(site.app(), at=at_site):
            yield Running(ehr, site, site.card("1.2.2024", "1.2.2025", "1.2.2026")["uuid"])


@pytest.fixture
def running(site: Site) -> Iterator[Running]:
    """That site and its EHR."""
    with both(site) as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new window, in which nothing may go wrong unseen."""
    yield from new_page(browser)


@pytest.fixture
def other_window(browser: Browser) -> Iterator[Page]:
    """A window in which a refusal is expected: the browser complains of its status."""
    with browser.new_context() as context:
        yield context.new_page()


def allow(page: Page, launch: str) -> None:
    """Open the card's link, and say to the EHR that this is wanted."""
    page.goto(launch)
    with page.expect_navigation():  # until all of the page is there
        page.get_by_role("button", name="Allow").click()


def expect_refusal(page: Page, said: str) -> None:
    """A person reads why, and nothing of any patient."""
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing to show")
    expect(page.get_by_role("main")).to_contain_text(said)
    assert page.locator("svg, table").count() == 0
    assert "Ada" not in page.content()


def test_the_ehr_opens_the_page_of_the_card_with_the_patient_on_it(page: Page, running: Running) -> None:
    allow(page, running.launch())

    assert page.url == f"{running.site.address}/smart/page/{running.card}"
    expect(page.get_by_role("complementary", name="Patient")).to_have_text(
        "Ada Example, born 1974-02-01", use_inner_text=True
    )
    expect(page.locator(".plot.wide svg")).to_be_visible()
    ages = page.get_by_role("table").first.locator("tbody tr td:nth-child(2)").all_inner_texts()
    assert ages == ["52", "51", "50"]
    assert serious_faults(page) == []
    page.reload()
    expect(page.get_by_role("complementary", name="Patient")).to_contain_text("Ada Example")


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_on_paper_the_patient_is_named_on_every_sheet_and_the_drawing_is_on_the_first(
    page: Page, running: Running, paper: str
) -> None:
    allow(page, running.launch())

    printed = sheets(page, paper)

    assert len(printed) > 2
    assert curves(printed[0]) > 20
    assert len("Ada Example") in on_every_sheet(printed)


def test_a_long_name_stays_within_a_narrow_window(page: Page, running: Running) -> None:
    running.ehr.patients[PATIENT]["name"] = [{"text": "W" * 10_000}]
    page.set_viewport_size({"width": 390, "height": 844})

    allow(page, running.launch())

    expect(page.get_by_role("complementary", name="Patient")).to_contain_text("WWW")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_scripts_of_the_page_could_not_read_its_cookie(page: Page, running: Running) -> None:
    allow(page, running.launch())

    assert page.evaluate("document.cookie") == ""
    (kept,) = page.context.cookies([page.url])
    assert (kept["name"], kept["httpOnly"], kept["sameSite"]) == (PAGE_COOKIE, True, "Lax")


def test_what_the_clinician_denies_is_not_shown(other_window: Page, running: Running) -> None:
    other_window.goto(running.launch())
    other_window.get_by_role("button", name="Deny").click()

    expect_refusal(other_window, "The EHR did not let this page be opened: access_denied.")
    assert serious_faults(other_window) == []


def test_an_answer_with_a_wrong_state_is_refused(other_window: Page, running: Running) -> None:
    other_window.goto(running.launch())
    other_window.goto(f"{running.site.address}/smart/callback?code=a-code&state={'A' * 43}")

    expect_refusal(other_window, "This launch was not begun in this browser")


def test_an_answer_that_is_played_again_is_refused(other_window: Page, running: Running) -> None:
    asked: list[str] = []
    other_window.on("request", lambda request: asked.append(request.url))
    allow(other_window, running.launch())
    expect(other_window.get_by_role("heading", level=1)).to_contain_text("5-year image-based scores")
    (answer,) = [url for url in asked if "/smart/callback?" in url]

    other_window.goto(answer)

    expect_refusal(other_window, "or is over already")


def test_a_page_whose_time_is_over_is_not_shown_any_more(other_window: Page, running: Running) -> None:
    allow(other_window, running.launch())
    expect(other_window.locator(".plot.wide svg")).to_be_visible()
    running.site.service.clock.advance(timedelta(minutes=61))

    other_window.reload()

    expect_refusal(other_window, "The time of this page is over.")


def test_a_page_for_another_patient_cannot_be_reached(other_window: Page, running: Running) -> None:
    running.ehr.patients[OTHER] = fhir_patient(OTHER)

    allow(other_window, running.launch(OTHER))

    expect_refusal(other_window, "The card is of another patient than the one whose chart is open.")


def test_nor_by_the_cookie_of_ones_own_page(other_window: Page, running: Running) -> None:
    allow(other_window, running.launch())
    expect(other_window.locator(".plot.wide svg")).to_be_visible()
    (own,) = other_window.context.cookies([other_window.url])
    another = running.site.card("1.2.2024")["uuid"]
    add_cookie(other_window, running, own["value"], another)

    other_window.goto(f"{running.site.address}/smart/page/{another}")

    expect_refusal(other_window, "This page is of another card than the one that your EHR opened.")


def test_a_cookie_that_was_altered_opens_nothing(other_window: Page, running: Running) -> None:
    allow(other_window, running.launch())
    expect(other_window.locator(".plot.wide svg")).to_be_visible()
    (own,) = other_window.context.cookies([other_window.url])
    add_cookie(other_window, running, own["value"][:-8] + "AAAAAAA=", running.card)

    other_window.reload()

    expect_refusal(other_window, "is damaged, or is not of this service")


def add_cookie(page: Page, running: Running, value: str, card: str) -> None:
    kept: Any = {"name": PAGE_COOKIE, "value": value, "domain": "127.0.0.1", "path": f"/smart/page/{card}"}
    page.context.add_cookies([kept])


def test_an_ehr_that_is_not_known_opens_nothing(other_window: Page, running: Running) -> None:
    other_window.goto(f"{running.site.address}/smart/launch?launch=x&iss=https%3A%2F%2Fevil.example%2Ffhir")

    expect_refusal(other_window, "opened for an EHR that this service does not know")


def test_a_patient_without_a_card_is_told_apart_from_a_refusal(page: Page, running: Running) -> None:
    running.ehr.context = {"appContext": None, "patient": "nobody-yet"}

    allow(page, running.launch())

    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing on record")
    assert serious_faults(page) == []


@pytest.mark.parametrize(("host", "is_shown"), [("localhost", True), ("127.0.0.1", False)])
def test_only_the_ehr_may_hold_the_page_in_a_frame(
    other_window: Page, running: Running, host: str, is_shown: bool
) -> None:
    link = running.site.links.url(running.card, EHR)
    # The same server under another name is to the browser another one, which is not among those named.
    other_window.goto(f"{running.ehr.address.replace('localhost', host)}/keys")
    other_window.evaluate(
        "url => new Promise(done => { const frame = document.createElement('iframe'); frame.src = url;"
        " frame.onload = done; document.body.append(frame); })",
        link,
    )

    heading = other_window.frame_locator("iframe").get_by_role("heading", level=1)
    assert heading.count() == int(is_shown)
