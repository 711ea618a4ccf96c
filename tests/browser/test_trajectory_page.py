"""The page of a card in a real browser: seen, heard, driven by keyboard, on a phone, at night, on paper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, ViewportSize

from cds.demo.loopback import serve, take_place
from model.domain import AcquisitionDevice, ImageType
from tests.browser.axe import serious_faults
from tests.browser.paper import curves, on_every_sheet, sheets
from tests.cds.conftest import engine
from tests.cds.pages.conftest import Site, site

__all__ = ["engine", "site"]

pytestmark = pytest.mark.integration

WIDE: ViewportSize = {"width": 1100, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
LEAST_CONTRAST = 4.5
"""WCAG 2.2, success criterion 1.4.3 (AA), for text of any size."""

CONTRASTS = """
() => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const over = (top, below) => {
    const alpha = top.length > 3 ? top[3] : 1;
    return below.map((value, i) => alpha * top[i] + (1 - alpha) * value);
  };
  const light = rgb => rgb.map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    const above = [];
    for (let at = element; at; at = at.parentElement) above.unshift(channels(getComputedStyle(at).backgroundColor));
    return above.reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const told = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const ink = channels(element instanceof SVGElement ? style.fill : style.color).slice(0, 3);
    const [one, other] = [light(ink), light(ground(element))].sort((a, b) => b - a);
    told.push([element.textContent.trim().slice(0, 40), (one + 0.05) / (other + 0.05)]);
  }
  return told;
}
"""


@dataclass(frozen=True)
class Opened:
    """A site that answers at `address`, and the link that is on the card of a woman with five exams."""

    site: Site
    address: str
    link: str


@contextmanager
def answering(site: Site) -> Iterator[Opened]:
    """Serve the site where its links say."""
    listening, site.address = take_place()
    for year, risk in {2022: 0.021, 2023: 0.023, 2025: 0.046, 2026: 0.066}.items():
        device = AcquisitionDevice("HOLOGIC", "Selenia", "2.0" if year > 2025 else "1.8")
        site.score(f"1.2.{year}", risk, date(year, 5, 3), device=device)
    site.score("1.2.9", 0.03, date(2024, 3, 1), image_type=ImageType.SYNTHETIC_2D)
    app: Flask = site.app()
    with serve(app, at=listening) as address:
        exams = ("1.2.2022", "1.2.2023", "1.2.2025", "1.2.2026", "1.2.9")
        yield Opened(site, address, address + site.link(*exams))


@pytest.fixture
def opened(site: Site) -> Iterator[Opened]:
    """That site."""
    with answering(site) as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new window, in which nothing may go wrong unseen."""
    yield from new_page(browser)


def new_page(browser: Browser, **options: Any) -> Iterator[Page]:
    context = browser.new_context(**({"viewport": WIDE} | options))
    window = context.new_page()
    complaints: list[str] = []
    window.on("console", lambda message: complaints.append(message.text))
    window.on("requestfailed", lambda request: complaints.append(f"not loaded: {request.url}"))
    yield window
    context.close()
    assert complaints == []


def test_the_link_of_a_card_opens_the_plot_and_the_same_as_a_table(page: Page, opened: Opened) -> None:
    page.goto(opened.link)

    assert page.get_by_role("heading", level=1).inner_text() == "5-year image-based scores over time"
    assert page.locator(".plot.wide svg").is_visible()
    table = page.get_by_role("table").first
    rows = [row.locator("th, td").first.inner_text() for row in table.get_by_role("row").all()]
    assert rows == ["Exam", "2026-05-03", "2025-05-03", "2024-03-01", "2023-05-03", "2022-05-03"]
    assert table.get_by_role("cell", name="6.6 %").count() == 1
    assert page.locator(".plot.wide").get_by_text("6.6 %", exact=True).is_visible()


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_script(page: Page, opened: Opened) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(opened.link)

    assert [url for url in asked if not url.startswith(opened.address)] == []
    assert page.locator("script").count() == 0


def test_a_screen_reader_finds_its_way(page: Page, opened: Opened) -> None:
    page.goto(opened.link)

    assert page.locator("html").get_attribute("lang") == "en"
    assert page.title() == "Scores over time - MammoTrend"
    levels = [int(one.evaluate("node => node.tagName[1]")) for one in page.get_by_role("heading").all()]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("img").count() == 1  # the drawing for narrow windows is not there at all
    assert "the table below has the same" in (page.get_by_role("img").get_attribute("aria-label") or "")
    for table in page.get_by_role("table").all():
        assert table.locator("caption").inner_text()
        assert table.get_by_role("columnheader").count() > 1
        assert table.get_by_role("rowheader").count() == table.get_by_role("row").count() - 1
    assert [region.get_attribute("aria-labelledby") for region in page.locator("section").all()].count(None) == 0
    names = page.evaluate("() => [...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(names) == len(set(names))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing_serious(browser: Browser, opened: Opened, scheme: str, viewport: ViewportSize) -> None:
    for page in new_page(browser, color_scheme=scheme, viewport=viewport):
        page.goto(opened.link)
        assert serious_faults(page) == []


def test_axe_would_find_something(page: Page, opened: Opened) -> None:
    page.goto(opened.link)
    page.evaluate("() => { const button = document.createElement('button'); document.body.append(button); }")

    assert [fault.split(":")[0] for fault in serious_faults(page)] == ["button-name"]


def test_the_keyboard_reaches_everything_in_the_order_of_reading(page: Page, opened: Opened) -> None:
    page.goto(opened.link)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    assert page.locator(".skip").bounding_box() is not None
    tops, shown = [], []
    for _ in range(page.locator("main a, main [tabindex='0']").count()):
        page.keyboard.press("Tab")
        tops.append(page.evaluate("document.activeElement.getBoundingClientRect().top + scrollY"))
        shown.append(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))

    assert len(tops) >= 3
    assert tops == sorted(tops)
    assert set(shown) == {"solid"}


def test_the_skip_link_leads_to_the_content(page: Page, opened: Opened) -> None:
    page.goto(opened.link)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    assert page.evaluate("document.activeElement.id") == "content"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_every_text_stands_out_from_its_ground(
    browser: Browser, opened: Opened, scheme: str, size: ViewportSize
) -> None:
    for window in new_page(browser, viewport=size, color_scheme=scheme):
        window.goto(opened.link)

        contrasts = window.evaluate(CONTRASTS)

        assert len(contrasts) > 60
        assert [(text, ratio) for text, ratio in contrasts if ratio < LEAST_CONTRAST] == []


def test_the_check_of_contrasts_sees_what_is_too_faint(page: Page, opened: Opened) -> None:
    page.goto(opened.link)
    page.evaluate("document.querySelector('.lead').style.color = 'rgb(200, 200, 200)'")

    (faint,) = [text for text, ratio in page.evaluate(CONTRASTS) if ratio < LEAST_CONTRAST]

    assert faint.startswith("Research: increased")


def test_at_night_the_page_is_dark(browser: Browser, opened: Opened) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        for window in new_page(browser, color_scheme=scheme):
            window.goto(opened.link)
            grounds.append(window.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert grounds == ["rgb(251, 251, 249)", "rgb(20, 24, 27)"]


def test_on_a_phone_nothing_is_wider_than_the_window_and_its_own_drawing_is_shown(
    browser: Browser, opened: Opened
) -> None:
    for window in new_page(browser, viewport=PHONE):
        window.goto(opened.link)

        assert window.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert window.locator(".plot.narrow svg").is_visible()
        assert not window.locator(".plot.wide svg").is_visible()
        letters = window.locator(".plot.narrow text").first.evaluate("node => node.getBoundingClientRect().height")
        assert letters > 9


def test_on_paper_the_banners_and_the_whole_table_are_there(page: Page, opened: Opened) -> None:
    page.goto(opened.link)
    page.emulate_media(media="print", color_scheme="dark")

    assert page.locator(".banners").is_visible()
    assert not page.locator(".screen-only").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_the_first_sheet_has_the_drawing_and_each_a_place_for_the_patients_name(
    page: Page, opened: Opened, paper: str
) -> None:
    page.goto(opened.link)
    assert not page.get_by_text("Patient:", exact=True).is_visible()

    printed = sheets(page, paper)

    assert len(printed) > 2
    assert curves(printed[0]) > 20  # the points of both the plot and the key
    assert len("Patient:") in on_every_sheet(printed)


OVERLAPS = """
() => {
  const texts = [...document.querySelectorAll(".plot text")].filter(text => text.getClientRects().length);
  const told = texts.map(text => [text.textContent, text.getBoundingClientRect()]);
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top + 1 < b.bottom && b.top + 1 < a.bottom;
  return told.flatMap(([one, a], i) => told.slice(i + 1).filter(([, b]) => meet(a, b)).map(([other]) => [one, other]));
}
"""


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_no_words_of_a_crowded_drawing_lie_over_others(browser: Browser, site: Site, size: ViewportSize) -> None:
    listening, site.address = take_place()
    days = [*(date(year, 11, 20) for year in range(2012, 2023)), date(2025, 3, 2), date(2025, 4, 21), date(2025, 4, 21)]
    for number, day in enumerate(days):
        device = AcquisitionDevice("HOLOGIC", "Selenia", "2.0" if day.year > 2022 else "1.8")
        site.score(f"1.2.{number}", 0.012 + 0.0007 * number, day, device=device)
    site.refuse("1.2.99")
    with serve(site.app(), at=listening) as address:
        link = address + site.link(*(f"1.2.{number}" for number in range(len(days))), "1.2.99")
        for window in new_page(browser, viewport=size):
            window.goto(link)

            assert window.locator(".plot:visible .value").count() >= 5
            assert window.evaluate(OVERLAPS) == []


def refusal(browser: Browser, address: str, status: int) -> str:
    """What a person reads where a link shows nothing; a browser complains of the status, and of nothing else."""
    context = browser.new_context(viewport=WIDE)
    window = context.new_page()
    answer = window.goto(address)
    assert answer is not None
    assert answer.status == status
    assert window.get_by_role("heading", level=1).inner_text() == "Nothing to show"
    assert window.get_by_role("heading", name="What to do").is_visible()
    assert window.locator("svg, table").count() == 0
    said = window.get_by_role("main").inner_text()
    context.close()
    return said


def test_a_link_whose_time_is_over_says_what_to_do(browser: Browser, opened: Opened) -> None:
    opened.site.service.clock.advance(timedelta(hours=2))

    assert "This link has expired." in refusal(browser, opened.link, 410)


def test_a_link_that_was_altered_opens_nothing(browser: Browser, opened: Opened) -> None:
    assert "was not made by this service" in refusal(browser, opened.link[:-4] + "AAAA", 403)


def test_a_page_for_another_patient_cannot_be_reached_from_ones_own_link(browser: Browser, opened: Opened) -> None:
    own, other = opened.link, opened.address + opened.site.link("1.2.2026")
    assert own != other
    start = len(opened.address) + len("/trajectory/")
    # The card of one link with the signature of another.
    mixed = other[: start + 40] + own[start + 40 :]

    refusal(browser, mixed, 403)
    refusal(browser, f"{opened.address}/trajectory/p2", 403)
