"""Rounding may never move a score to the other side of the threshold."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hooks.percentages import (
    change_in_words,
    limit_in_points,
    percent,
    points,
    size_in_points,
    threshold_percent,
    yearly_percents,
)


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.066, "6.6 %"),
        (0.017, "1.7 %"),
        (0.01701, "1.701 %"),
        (0.0174, "1.74 %"),
        (0.0176, "1.8 %"),
        (0.01699, "1.699 %"),
        (0.0166, "1.66 %"),
        (0.0, "0.0 %"),
        (1.0, "100.0 %"),
    ],
)
def test_a_score_has_one_decimal_or_as_many_as_keep_it_off_the_threshold(fraction: float, text: str) -> None:
    assert percent(fraction, beside=0.017) == text


@given(fraction=st.floats(0, 1), threshold=st.floats(0.001, 0.5))
@example(fraction=0.017000000000000005, threshold=0.017)
@example(fraction=5e-324, threshold=0.017)
def test_a_shown_score_stays_on_its_own_side_of_the_shown_threshold(fraction: float, threshold: float) -> None:
    shown = Decimal(percent(fraction, beside=threshold).removesuffix(" %"))
    limit = Decimal(threshold_percent(threshold).removesuffix(" %"))
    assert (shown > limit, shown == limit) == (fraction > threshold, fraction == threshold)


@given(fractions=st.lists(st.floats(0, 1), min_size=5, max_size=5).map(sorted), threshold=st.floats(0.001, 0.5))
@example(fractions=[0.004, 0.009, 0.0169, 0.01699, 0.016995], threshold=0.017)
def test_risks_year_by_year_have_the_decimals_of_the_last_and_never_seem_to_fall(
    fractions: list[float], threshold: float
) -> None:
    shown = yearly_percents(fractions, beside=threshold)
    assert shown[-1] == percent(fractions[-1], beside=threshold)
    assert len({len(one.partition(".")[2]) for one in shown}) == 1
    numbers = [Decimal(one.removesuffix(" %")) for one in shown]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("fraction", "text"), [(0.017, "1.7 %"), (0.01667, "1.667 %"), (0.02, "2.0 %"), (0.2, "20.0 %")]
)
def test_a_threshold_is_shown_with_every_decimal_it_has(fraction: float, text: str) -> None:
    assert threshold_percent(fraction) == text


@pytest.mark.parametrize(
    ("change", "text", "words"),
    [
        (0.045, "+4.5", "up 4.5 points"),
        (-0.003, "-0.3", "down 0.3 points"),
        (0.0, "0.0", "0.0 points change"),
        (-0.0001, "0.0", "0.0 points change"),
    ],
)
def test_a_change_is_said_in_percentage_points(change: float, text: str, words: str) -> None:
    assert (points(change), change_in_words(change)) == (text, words)


@pytest.mark.parametrize(
    ("change", "text"), [(0.003, "0.3"), (-0.003, "0.3"), (-0.00499, "0.499"), (0.005, "0.5"), (0.0, "0.0")]
)
def test_the_size_of_a_change_has_no_sign_and_never_looks_like_the_limit_that_it_is_under(
    change: float, text: str
) -> None:
    assert size_in_points(change, beside=0.005) == text


@pytest.mark.parametrize(("limit", "text"), [(0.005, "0.5"), (0.0025, "0.25"), (0.01, "1.0")])
def test_a_limit_of_changes_is_shown_with_every_decimal_it_has(limit: float, text: str) -> None:
    assert limit_in_points(limit) == text
