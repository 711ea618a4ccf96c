"""The report of a study in a real browser: every column is there on a desk's screen and on paper."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize
from typer.testing import CliRunner

from cds.cli import app
from tests.browser.axe import serious_faults
from tests.browser.test_trajectory_page import new_page
from tests.cds.conftest import logging_as_found

__all__ = ["logging_as_found"]

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("logging_as_found")]

LANDSCAPE = ViewportSize(width=1046, height=718)
"""A4 on its side with margins of a centimetre, in CSS pixels."""
DESK = ViewportSize(width=1280, height=900)
BEYOND_THEIR_FRAME = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"


@pytest.fixture
def report(tmp_path: Path) -> str:
    """Where the widest is, that of the impact study."""
    cohort, folder = tmp_path / "cohort.csv", tmp_path / "impact"
    for command in (
        ["simulate", str(cohort), "--women", "300", "--cancers", "60", "--exams", "900"],
        ["--cohort", str(cohort), "--output", str(folder), "impact", "--capacity", "12"],
    ):
        assert CliRunner().invoke(app, ["study", *command]).exit_code == 0
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_the_screen_of_a_desk_no_table_is_cut_off_and_axe_finds_nothing_serious(
    browser: Browser, report: str, scheme: str
) -> None:
    for page in new_page(browser, viewport=DESK, color_scheme=scheme):
        page.goto(report)
        assert page.evaluate(BEYOND_THEIR_FRAME) == 0
        assert page.locator("main h1").count() == 1
        assert serious_faults(page) == []


def test_on_paper_no_table_is_cut_off(browser: Browser, report: str) -> None:
    for page in new_page(browser, viewport=LANDSCAPE):
        page.goto(report)
        assert page.evaluate(BEYOND_THEIR_FRAME) > 0, "on a screen they scroll"
        page.emulate_media(media="print")
        assert page.evaluate(BEYOND_THEIR_FRAME) == 0
        assert page.locator("th:visible").filter(has_text="of cancers flagged").count() > 0
