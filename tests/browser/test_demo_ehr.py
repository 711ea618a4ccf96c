"""The demo's EHR in a real browser: from a patient to a signed order, against the service that the demo runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect

from cds.settings import read_settings
from cds.store.card_counts import CardCounts, count_cards
from cds.store.database import open_database
from tests.browser.axe import serious_faults
from tests.browser.demo import RunningDemo, running_demo
from tests.servers import temporary_folder

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def demo(browser: Browser) -> Iterator[RunningDemo]:
    """One demo for the module; each test takes patients of its own. Only where there is a browser to look at it."""
    with temporary_folder() as folder, running_demo(folder) as running:
        yield running


@pytest.fixture
def page(browser: Browser, demo: RunningDemo) -> Iterator[Page]:
    """A page on the patients; whatever the browser blocks, is refused or asks of another host fails the test."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        complaints.append(message.text)

    def look(response: Response) -> None:
        if response.status >= 400 or not response.url.startswith(demo.address):
            complaints.append(f"{response.status} {response.url}")

    with browser.new_context() as context:
        page = context.new_page()
        page.on("console", hear)
        page.on("response", look)
        page.goto(demo.address)
        yield page
    assert complaints == []


def open_chart(page: Page, name: str) -> None:
    """Pick a patient from the list."""
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def order(page: Page, name: str) -> None:
    """Pick an order, and wait for what the service says."""
    page.locator(".catalogue").get_by_role("button", name=name).click()
    expect(page.locator("#advice .heading")).to_contain_text(f"{name} selected")


def counted(demo: RunningDemo, kind: str) -> CardCounts:
    """What `mammotrend report cards` counts of a kind of card."""
    engine = open_database(read_settings(demo.settings, environment=False).database_url)
    try:
        return count_cards(engine)[kind]
    finally:
        engine.dispose()


def test_axe_finds_nothing_serious_on_any_screen(page: Page, browser: Browser, demo: RunningDemo) -> None:
    assert serious_faults(page) == []
    open_chart(page, "Berta Level")
    order(page, "Screening mammogram")
    assert serious_faults(page) == []
    page.get_by_role("link", name=re.compile(r"^\d{4}-\d\d-\d\d$")).first.click()
    assert serious_faults(page) == []


def test_axe_finds_nothing_serious_on_the_operators_page(browser: Browser, demo: RunningDemo) -> None:
    with browser.new_context() as context:
        window = context.new_page()
        window.goto(f"{demo.service}/operations")
        assert window.get_by_role("heading", level=1).count() == 1
        assert serious_faults(window) == []


def test_from_a_card_to_its_page_and_back_to_an_accepted_order_that_is_in_the_chart_and_in_the_services_store(
    page: Page, demo: RunningDemo
) -> None:
    open_chart(page, "Ada Rising")
    order(page, "Screening mammogram")
    card = page.get_by_role("article").filter(has_text="Warning")
    expect(card).to_contain_text("increased 5-year image-based score")
    expect(card.get_by_role("table")).to_contain_text("Phantom Imaging Aurora 2D 3.1")
    accepted_before = counted(demo, "mri-suggested").accepted

    with page.context.expect_page() as opened:
        card.get_by_role("link", name="Show the scores over time").click()
    expect(opened.value.get_by_role("heading", level=1)).to_have_text("5-year image-based scores over time")
    expect(opened.value.locator(".plot.wide svg")).to_be_visible()
    assert opened.value.url.startswith(f"{demo.service}/trajectory/")
    opened.value.close()

    page.get_by_role("button", name="Draft a breast MRI order").click()
    page.get_by_role("button", name="Record the risk assessment").click()

    expect(page.locator("#orders")).to_contain_text("Breast MRI draft")
    expect(page.locator("#risks")).to_contain_text(re.compile(r"Image-based 5-year score \d+\.\d % final"))
    expect(page.locator("#feedback").get_by_text("sent", exact=True)).to_have_count(2)
    assert counted(demo, "mri-suggested").accepted == accepted_before + 1

    page.get_by_role("button", name="Sign 2 orders").click()
    expect(page.locator("#advice")).to_contain_text("breast MRI already in the draft orders")
    page.get_by_role("button", name="Sign now").click()
    expect(page.locator("#orders").get_by_text("active", exact=True)).to_have_count(2)
    expect(page.locator("#advice .heading")).to_contain_text("Orders signed")


def test_an_override_reaches_the_service_with_its_reason(page: Page, demo: RunningDemo) -> None:
    open_chart(page, "Dora Thirty-Five")
    order(page, "Screening mammogram")
    page.get_by_text("Override this card").click()
    page.get_by_label("Patient declines breast MRI").check()
    page.get_by_role("button", name="Override", exact=True).click()

    expect(page.locator("#feedback")).to_contain_text("Overridden: Patient declines breast MRI sent")
    assert counted(demo, "mri-suggested").reasons["patient-declined"] == 1
    order(page, "Screening mammogram")
    expect(page.locator("#advice")).to_contain_text("or a card for her was overridden lately and rests")


@pytest.mark.parametrize("name", ["Diagnostic mammogram", "Ibuprofen"])
def test_an_order_that_is_no_screening_brings_no_card_and_says_so(page: Page, name: str) -> None:
    open_chart(page, "Frida Drafted")
    order(page, name)
    expect(page.get_by_role("status")).to_have_text(re.compile(r"No card\. The service was asked and has nothing"))
    expect(page.locator(".card")).to_have_count(0)


def test_a_patient_without_exams_has_no_image_and_no_card(page: Page) -> None:
    open_chart(page, "Greta Noexam")
    expect(page.locator(".exams")).to_contain_text("No mammogram is on record, so there is no image.")
    expect(page.locator("main img")).to_have_count(0)
    order(page, "Screening mammogram")
    expect(page.get_by_role("status")).to_contain_text("No card.")


def test_the_pictures_of_an_exam_load_and_a_missing_view_keeps_its_place(page: Page) -> None:
    open_chart(page, "Emma Threeviews")
    newest = page.locator(".exams article").first
    expect(newest.locator("img")).to_have_count(3)
    expect(newest).to_contain_text("no image")
    for picture in newest.locator("img").all():
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalHeight") > 100


def test_the_way_from_patient_to_accepted_order_needs_no_mouse(page: Page) -> None:
    press_until_focused(page, "link", "Clara Thirty-Four")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Clara Thirty-Four")
    press_until_focused(page, "button", "Screening mammogram")
    page.keyboard.press("Enter")
    expect(page.locator("#advice .heading")).to_contain_text("Screening mammogram selected")
    press_until_focused(page, "button", "Record the risk assessment")
    page.keyboard.press("Enter")
    expect(page.locator("#risks")).to_contain_text("Image-based 5-year score")


def press_until_focused(page: Page, role: str, name: str, most: int = 40) -> None:
    """Tab to an element."""
    wanted = page.get_by_role(role, name=name)  # type: ignore[arg-type] # Playwright lists the roles as literals
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{name!r} was not reached by the keyboard")


@pytest.mark.parametrize("patient", ["", "Berta Level", "Film sfm-benign-0, rewritten"])
def test_nothing_is_wider_than_a_phone(page: Page, patient: str) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type] # a dict of the same two keys
    if patient:
        open_chart(page, patient)
        order(page, "Screening mammogram")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
