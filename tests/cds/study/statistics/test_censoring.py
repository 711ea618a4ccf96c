from __future__ import annotations

import numpy as np
import pytest

from cds.study.statistics.censoring import known_weights, observed, uncensored
from tests.cds.study.landmarks import sixty


def test_the_observed_share_and_its_interval_are_those_of_r_s_survival() -> None:
    women = sixty()
    found = observed(women["years"], women["is_case"], 5)
    assert (found.share, found.error) == pytest.approx((0.44241280800, 0.07576408849), abs=1e-9)
    assert found.interval == pytest.approx((0.30944867562, 0.60209563782), abs=1e-9)


def test_without_anybody_lost_the_observed_share_is_the_share() -> None:
    assert observed([1, 2, 6, 6], [True, True, False, False], 5).share == pytest.approx(0.5)


def test_where_nobody_was_followed_so_long_nothing_was_observed() -> None:
    assert np.isnan(observed([1, 2, 3], [True, False, False], 5).share)
    assert np.isnan(observed([], [], 5).share)


def test_nobody_diagnosed_is_a_share_of_none_and_has_no_interval() -> None:
    found = observed([6, 7], [False, False], 5)
    assert found.share == 0
    assert np.isnan(found.interval).all()


def test_the_known_stand_for_those_who_were_lost() -> None:
    """Ten women: one is lost after a year, so the nine others stand for ten."""
    years = np.array([1.0, *[3.0] * 4, *[6.0] * 5])
    is_case = np.array([False, *[True] * 4, *[False] * 5])
    assert list(known_weights(years, is_case, 5)) == pytest.approx([0, *[10 / 9] * 9])


def test_a_woman_drawn_twice_is_two_women() -> None:
    years, is_case = np.array([1.0, 2.0, 3.0]), np.array([False, True, False])
    twice = uncensored(np.repeat(years, 2), np.repeat(is_case, 2), years)
    assert list(uncensored(years, is_case, years, [2, 2, 2])) == pytest.approx(list(twice))
    doubled = observed(years, is_case, 2.5, [1, 3, 1])
    assert doubled.share == pytest.approx(3 / 4)
