"""When a unit's scores are said to drift, and when nothing can be said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.operations.drift_alarm import LEAST_EXAMS, error_of_median, judge
from cds.store.score_spread import ScoreSpread

TODAY = date(2026, 5, 20)
FULL = ("2025-05", "2025-06", "2025-07", "2025-08", "2025-09", "2025-10", "2025-11", "2025-12", "2026-01")
RECENT = ("2026-02", "2026-03", "2026-04")


def month(name: str, percent: float, exams: int = 400, device: str = "A") -> ScoreSpread:
    """A month whose quartiles lie a fifth around its median."""
    median = percent / 100
    return ScoreSpread(device, name, exams, median, 0.8 * median, median, 1.2 * median)


def a_year(recent: Sequence[float], before: float = 2.0) -> list[ScoreSpread]:
    return [month(name, before) for name in FULL] + [month(*one) for one in zip(RECENT, recent, strict=True)]


@pytest.mark.parametrize(
    ("recent", "is_alarm"),
    [
        ((2.0, 2.0, 2.0), False),
        ((2.0, 2.5, 2.5), True),
        ((2.5, 2.0, 2.5), True),
        ((1.5, 1.5, 2.0), True),
        ((2.0, 2.0, 9.0), False),  # a single odd month
        ((1.5, 2.0, 2.5), False),  # one on each side
        ((2.09, 2.09, 2.09), False),  # less than a card shows
        ((2.11, 2.11, 2.11), True),
    ],
)
def test_two_of_three_months_on_one_side_are_drift(recent: tuple[float, float, float], is_alarm: bool) -> None:
    (told,) = judge(a_year(recent), TODAY)

    assert told.is_alarm is is_alarm


def test_an_alarm_says_how_far_which_months_are_from_what_is_usual() -> None:
    (told,) = judge(a_year((2.0, 2.5, 2.6)), TODAY)

    assert told.words == "median 2.50 % in 2026-03, 2.60 % in 2026-04, against 2.00 to 2.00 % in the months before"


def test_the_month_that_still_runs_says_nothing() -> None:
    spread = [*a_year((2.0, 2.0, 2.5)), month("2026-05", 2.5)]

    assert not judge(spread, TODAY)[0].is_alarm
    assert judge(spread, date(2026, 6, 1))[0].is_alarm


def test_what_lies_more_than_a_year_back_is_no_measure_for_today() -> None:
    assert judge([*a_year((2.5, 2.5, 2.5)), month("2025-04", 3.0)], TODAY)[0].is_alarm


def test_each_unit_is_held_against_itself() -> None:
    other = [month(one.month, 4.0, device="B") for one in a_year((2.5, 2.5, 2.5))]

    assert {one.device: one.is_alarm for one in judge([*other, *a_year((2.5, 2.5, 2.5))], TODAY)} == {
        "A": True,
        "B": False,
    }


@pytest.mark.parametrize("exams", [0, LEAST_EXAMS - 1])
def test_of_a_unit_with_too_few_exams_nothing_is_said(exams: int) -> None:
    few = [month(one.month, 2.0, exams) for one in a_year((2.0, 2.0, 2.0))]

    assert judge(few, TODAY) == []
    assert judge(a_year((2.5, 2.5, 2.5))[4:], TODAY) == []  # five months before
    assert judge(a_year((2.5, 2.5, 2.5))[:-2], TODAY) == []  # one recent month
    assert judge([], TODAY) == []


def test_a_month_of_few_exams_must_lie_further_apart() -> None:
    spread = [*a_year((2.0, 2.0, 2.0))[:9], *(month(name, 2.12, LEAST_EXAMS) for name in RECENT)]

    assert error_of_median(spread[-1]) > 0.0012
    assert not judge(spread, TODAY)[0].is_alarm


@given(st.lists(st.floats(0.2, 20.0), min_size=3, max_size=3), st.randoms(use_true_random=False))
def test_the_order_of_the_months_does_not_matter(recent: list[float], random: Random) -> None:
    spread = a_year(recent)
    mixed = random.sample(spread, len(spread))

    assert judge(mixed, TODAY) == judge(spread, TODAY)
