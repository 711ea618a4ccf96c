"""The source attributes in a real browser: for everybody, on a phone, at night, on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize

from cds.demo.loopback import serve, take_place
from cds.pages.attributes_page import PATH
from model.card import DEMO_MODEL, read_card
from tests.browser.axe import serious_faults
from tests.browser.test_trajectory_page import CONTRASTS, LEAST_CONTRAST, PHONE, WIDE, new_page
from tests.cds.conftest import engine
from tests.cds.pages.conftest import Site, site
from tests.cds.study.summary_files import put_study

__all__ = ["engine", "site"]

pytestmark = pytest.mark.integration


@pytest.fixture
def address(site: Site, tmp_path: Path) -> Iterator[str]:
    """Where the page of a site with the model that ships, and with a study of it and one of another, is read."""
    site.model_folder, site.model_card, site.studies_folder = DEMO_MODEL, read_card(DEMO_MODEL), tmp_path / "studies"
    put_study(site.studies_folder, "impact", site.model_card.version.key)
    put_study(site.studies_folder, "drift", "another")
    listening, site.address = take_place()
    with serve(site.app(), at=listening) as url:
        yield url + PATH


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE])
def test_anybody_can_read_it_at_any_width_by_day_and_by_night(
    browser: Browser, address: str, scheme: str, viewport: ViewportSize
) -> None:
    for page in new_page(browser, color_scheme=scheme, viewport=viewport):
        page.goto(address)

        assert serious_faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        assert [(text, ratio) for text, ratio in page.evaluate(CONTRASTS) if ratio < LEAST_CONTRAST] == []


def test_on_paper_every_attribute_is_there(browser: Browser, address: str) -> None:
    for page in new_page(browser):
        page.emulate_media(media="print")
        page.goto(address)

        assert page.locator("dt:visible").count() == 31
        assert page.get_by_text("The same as JSON").is_hidden()


def test_it_tells_what_a_study_has_found_and_which_one_it_leaves_out(browser: Browser, address: str) -> None:
    for page in new_page(browser):
        page.goto(address)

        assert page.get_by_text("by group: north 31.0 %, south not told (too few).").is_visible()
        left_out = page.get_by_role("region", name="Studies of this site that nothing above is from")
        assert "of another model version" in left_out.inner_text()
