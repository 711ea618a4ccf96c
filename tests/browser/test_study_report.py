"""The report of a study in a real browser: on paper every column is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize
from typer.testing import CliRunner

from cds.cli import app
from tests.browser.test_trajectory_page import new_page
from tests.cds.conftest import logging_as_found

__all__ = ["logging_as_found"]

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("logging_as_found")]

LANDSCAPE = ViewportSize(width=1046, height=718)
"""A4 on its side with margins of a centimetre, in CSS pixels."""
BEYOND_THEIR_FRAME = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"


def test_on_paper_no_table_is_cut_off(browser: Browser, tmp_path: Path) -> None:
    cohort, folder = tmp_path / "cohort.csv", tmp_path / "impact"
    for command in (
        ["simulate", str(cohort), "--women", "300", "--cancers", "60", "--exams", "900"],
        ["--cohort", str(cohort), "--output", str(folder), "impact", "--capacity", "12"],
    ):
        assert CliRunner().invoke(app, ["study", *command]).exit_code == 0

    for page in new_page(browser, viewport=LANDSCAPE):
        page.goto((folder / "report.html").as_uri())
        assert page.evaluate(BEYOND_THEIR_FRAME) > 0, "on a screen they scroll"
        page.emulate_media(media="print")
        assert page.evaluate(BEYOND_THEIR_FRAME) == 0
        assert page.locator("th:visible").filter(has_text="of cancers flagged").count() > 0
