"""Which threshold fits so many places, and what ties do to it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.study.capacity import LEAST_PERCENT, Fitting, fitting_threshold, load_svg
from hooks.case import Comparator


def highest(*percents: float) -> pd.Series:
    return pd.Series([percent / 100 for percent in sorted(percents, reverse=True)], dtype=float)


def test_it_is_the_lowest_at_which_no_more_women_are_over_than_there_are_places() -> None:
    found = fitting_threshold(highest(5, 4, 3, 2, 1), 2, Comparator.OVER)

    assert (found.percent, found.women, found.tied) == (3.0, 2, 1)


def test_at_least_needs_a_step_more_than_over() -> None:
    found = fitting_threshold(highest(5, 4, 3, 2, 1), 2, Comparator.AT_LEAST)

    assert (found.percent, found.women) == (3.01, 2)


def test_women_with_the_same_score_are_flagged_together_or_not_at_all() -> None:
    found = fitting_threshold(highest(5, 3, 3, 3, 1), 2, Comparator.OVER)

    assert (found.percent, found.women, found.places, found.tied) == (3.0, 1, 2, 3)


@pytest.mark.parametrize("places", [5, 6])
def test_where_there_are_places_for_all_it_is_the_least_that_the_settings_take(places: int) -> None:
    found = fitting_threshold(highest(5, 4, 3, 2, 1), places, Comparator.OVER)

    assert (found.percent, found.women) == (0.1, 5)
    assert not found.is_needed


@given(st.lists(st.floats(0.05, 40), min_size=1, max_size=40), st.integers(0, 45), st.sampled_from([*Comparator]))
def test_it_fits_and_a_step_lower_does_not(percents: list[float], places: int, comparator: Comparator) -> None:
    scores = highest(*percents)

    found = fitting_threshold(scores, places, comparator)

    assert found.women <= places
    lower = round(found.percent / 100 - 0.0001, 4)  # 0.011, where 1.1 / 100 is a little more
    crossing = (scores >= lower) if comparator is Comparator.AT_LEAST else (scores > lower)
    assert found.percent == float(LEAST_PERCENT) or crossing.sum() > places


def test_no_point_of_the_picture_is_one_womans_step() -> None:
    svg = load_svg(highest(*range(1, 45)), 52, 1, 0.017, 11)

    line = re.search(r'class="load".*?d="([^"]*)"', svg, re.DOTALL)
    assert line is not None
    assert len(re.findall("[ML]", line[1])) == 3


def test_no_point_of_the_picture_leaves_a_few_women_under_it() -> None:
    for women, points in {32: 1, 33: 2, 43: 2, 44: 3}.items():
        svg = load_svg(highest(*range(1, women + 1)), 52, 1, 0.017, 11)
        line = re.search(r'class="load".*?d="([^"]*)"', svg, re.DOTALL)
        assert line is not None
        assert len(re.findall("[ML]", line[1])) == points


def test_no_point_of_the_picture_is_one_womans_own_score() -> None:
    def line(*percents: float) -> str:
        found = re.search(r'class="load".*?d="([^"]*)"', load_svg(highest(*percents), 52, 1, 0.017, 11), re.DOTALL)
        assert found is not None
        return found[1]

    exact = [number + 0.0042 for number in range(1, 45)]
    assert line(*exact) == line(*(round(percent, 2) for percent in exact))


@pytest.mark.parametrize(
    ("percents", "places", "may"),
    [
        (range(1, 41), 20, True),
        (range(1, 41), 4, False),
        (range(1, 41), 35, False),
        (range(1, 41), 50, True),
        ([*range(6, 20), *[5] * 20], 12, True),
        ([9, 8, *[5] * 20], 12, False),
    ],
)
def test_a_threshold_over_or_under_which_a_few_are_is_not_told(
    percents: Sequence[float], places: int, may: bool
) -> None:
    assert fitting_threshold(highest(*percents), places, Comparator.OVER).may_be_told(11) is may


def test_where_too_many_have_a_hundred_per_cent_there_is_no_threshold() -> None:
    for comparator in Comparator:
        assert not fitting_threshold(highest(*[100] * 30), 20, comparator).is_threshold


def test_a_threshold_is_as_a_fraction_what_it_is_in_per_cent() -> None:
    assert Fitting(2.37, 0, 0, 0, 0).threshold == 0.0237
