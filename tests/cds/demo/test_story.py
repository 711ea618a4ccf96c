"""The demo as a newcomer runs it: every patient is there to show one thing, and shows it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cds.demo.test_worker_process import is_running
from tests.servers import CHECKOUT

pytestmark = pytest.mark.slow


HOSTILE = {
    "MAMMOTREND_MODEL": "/nonexistent",
    "MAMMOTREND_POLICY__THRESHOLD_PERCENT": "99",
    "MAMMOTREND_CONFIG": "/nonexistent",
    "HTTP_PROXY": "http://127.0.0.1:9",
}
"""What a machine of a site may have set: none of it is the demo's business."""


START = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, also by what the tests start
from cds.cli import app
app(sys.argv[1:])
"""


def start_demo(place: Path, *arguments: str) -> subprocess.Popen[str]:
    """`mammotrend demo`, started in a folder that holds a file with the name of one of our packages."""
    (place / "hooks.py").write_text("raise SystemExit('not ours')\n")
    command = [sys.executable, "-P", "-c", START, "demo", *arguments]
    environment = os.environ | HOSTILE | {"PYTHONPATH": str(CHECKOUT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, cwd=place, env=environment, **pipes)  # type: ignore[call-overload,no-any-return] # noqa: S603 # our own


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `mammotrend demo --once` prints."""
    demo = start_demo(tmp_path_factory.mktemp("anywhere"), "--once")
    printed, said = demo.communicate(timeout=300)
    assert demo.returncode == 0, said
    return printed


@pytest.fixture(scope="module")
def table(printed: str) -> dict[str, str]:
    """Its rows by the patient's name, each as one line of words."""
    return dict(_rows(printed))


def test_no_address_is_told_that_is_gone_at_once(printed: str) -> None:
    assert "Model: " in printed
    assert "http://" not in printed


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
    assert "warning: Research: increased 5-year image-based score" in row
    assert "up " in row
    assert "offers: breast MRI order, RiskAssessment" in row


def test_a_low_score_brings_no_mri(table: dict[str, str]) -> None:
    row = table["Berta Level"]
    assert "info: Research: 5-year image-based score 1." in row
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
    assert "no card: looked, nothing to say, or a card overridden lately rests" in table["Greta Noexam"]


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


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_told_to_end_ends_with_its_worker_at_once(tmp_path: Path, by: signal.Signals) -> None:
    demo = start_demo(tmp_path, "--folder", str(tmp_path / "kept"))
    try:
        worker = _worker_of(demo, tmp_path / "kept")
        demo.send_signal(by)
        _, said = demo.communicate(timeout=60)
    finally:
        demo.kill()

    assert "Traceback" not in said
    assert not is_running(worker)


def _worker_of(demo: subprocess.Popen[str], folder: Path) -> int:
    """The process of the demo's worker, once there is one."""
    for _ in range(600):
        assert demo.poll() is None, demo.communicate()
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            if str(folder / "mammotrend.toml").encode() in _read(process):
                return int(process.parent.name)
        time.sleep(0.1)
    raise AssertionError("it started no worker")


def _read(process: Path) -> bytes:
    try:
        return process.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
