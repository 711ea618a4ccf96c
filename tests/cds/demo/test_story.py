"""The demo as a newcomer runs it: every patient is there to show one thing, and shows it."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def table() -> dict[str, str]:
    """The rows of `mammotrend demo --once`, by the patient's name, each as one line of words."""
    command = [sys.executable, "-m", "cds.cli", "demo", "--once"]
    demo = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603 # our module
    assert demo.returncode == 0, demo.stderr
    return dict(_rows(demo.stdout))


def _rows(printed: str) -> list[tuple[str, str]]:
    """Cells of one column belong together: each row's words, column by column, and its name from the first line."""
    rows: list[list[list[str]]] = []
    for line in printed.splitlines():
        if line.startswith(("├", "┡", "┏", "└")):
            rows.append([])
        elif line.startswith(("│", "┃")) and rows:
            rows[-1].append([cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")])
    full = [row for row in rows if row]
    return [(_name(row), " ".join(" ".join(column) for column in zip(*row, strict=True))) for row in full]


def _name(row: list[list[str]]) -> str:
    return row[0][0]


def test_a_rising_score_brings_the_mri_card(table: dict[str, str]) -> None:
    row = table["Ada Rising"]
    assert "7 scored" in row
    assert "warning: Increased 5-year image-based score" in row
    assert "up " in row
    assert "offers: breast MRI order, RiskAssessment" in row


def test_a_stable_low_score_brings_no_mri(table: dict[str, str]) -> None:
    row = table["Berta Stable"]
    assert "info: 5-year image-based score 1." in row
    assert "breast MRI order" not in row


def test_under_35_there_is_no_mri_suggestion_and_on_the_birthday_there_is(table: dict[str, str]) -> None:
    assert "no MRI suggestion: under 35" in table["Clara Thirty-Four"]
    assert "breast MRI order" not in table["Clara Thirty-Four"]
    assert "offers: breast MRI order, RiskAssessment" in table["Dora Thirty-Five"]


def test_an_exam_of_three_views_is_refused_and_the_card_says_why(table: dict[str, str]) -> None:
    row = table["Emma Threeviews"]
    assert "1 scored 1 refused" in row
    assert "cannot be scored: No usable R MLO view" in row


def test_a_drafted_mri_is_not_suggested_a_second_time(table: dict[str, str]) -> None:
    row = table["Frida Drafted"]
    assert "no MRI suggestion: breast MRI already in the draft orders" in row
    assert "offers: RiskAssessment" in row


def test_a_woman_without_exams_gets_no_card(table: dict[str, str]) -> None:
    assert "no card: looked, nothing to say" in table["Greta Noexam"]


def test_an_exam_that_is_not_scored_at_the_moment_of_the_call_is_said_to_be_under_way(table: dict[str, str]) -> None:
    row = table["Hanna Arriving"]
    assert "1 scored 1 queued" in row
    assert "is under way" in row


@pytest.mark.parametrize("case", ["sfm-benign-0", "sfm-malign-0"])
def test_the_real_exams_are_refused_as_published_and_scored_with_rewritten_headers(
    table: dict[str, str], case: str
) -> None:
    assert "4 refused" in table[f"Film {case}"]
    assert "Secondary Capture" in table[f"Film {case}"]
    assert "1 scored" in table[f"Film {case}, rewritten"]
    assert "headers rewritten" in table[f"Film {case}, rewritten"]


def test_the_table_has_a_line_for_every_patient(table: dict[str, str]) -> None:
    assert len(table) == 1 + 8 + 4  # the heading, the cast, each real exam twice
