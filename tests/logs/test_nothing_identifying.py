"""Nothing that identifies anybody, and nothing that opens anything, is in what the product writes about its work."""

from __future__ import annotations

import pytest

from tests.logs.day import Day, a_day
from tests.logs.traces import forms, traces

pytestmark = pytest.mark.slow

SAID = (
    "a call was refused: missing",
    "a call was refused: replayed",
    "a call was refused: signature",
    "a call was refused: expired",
    "a delivery failed: EhrRejected",
    "an exam is held: PacsUnreachable",
    "an exam is held: StudyNotFound",
    "an exam is held: WrongPatient",
    "an exam is refused",
    "breast-risk-order-select: mri-suggested",
    "breast-risk-patient-view: not-scorable",
    "feedback on 1 cards, 1 of them known",
    "feedback on 1 cards, 0 of them known",
    "listening on",
    "the database cannot be opened",
    "the night could not look at everything",
    "the settings cannot be used",
    "the environment cannot be used",
    "the store failed: OperationalError",
)
"""What the day must have brought the processes to write."""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """One day for all tests."""
    return a_day(tmp_path_factory.mktemp("day"))


def test_nothing_that_the_product_was_told_is_in_its_logs(day: Day) -> None:
    assert traces(day.told.secrets, day.log) == []


def test_the_logs_tell_of_everything_that_happened(day: Day) -> None:
    assert [words for words in SAID if words not in day.log] == []
    assert all(day.logs.values())
    assert day.log.count("\n") > 150
    assert "Traceback" not in day.log
    assert "unforeseen fault" not in day.log


def test_the_product_was_told_every_one_of_the_secrets(day: Day) -> None:
    assert len(day.told.secrets) > 200
    assert day.told.untold() == []


def test_each_secret_would_be_found_in_every_form(day: Day) -> None:
    half = len(day.log) // 2
    for name, secret in day.told.secrets.items():
        for form, written in forms(secret):
            assert f"{name} ({form})" in traces({name: secret}, f"{day.log[:half]}<{written}>{day.log[half:]}")
