from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.concordance import c_index

NEVER = np.inf


def test_scores_in_the_order_of_the_events_give_one() -> None:
    assert c_index(np.array([0.9, 0.5, 0.1]), np.array([1.0, 2.0, NEVER])) == 1.0


def test_scores_against_the_order_of_the_events_give_none() -> None:
    assert c_index(np.array([0.1, 0.5, 0.9]), np.array([1.0, 2.0, NEVER])) == 0.0


def test_equal_scores_count_half() -> None:
    assert c_index(np.array([0.3, 0.3]), np.array([1.0, NEVER])) == 0.5


def test_women_without_an_event_are_not_compared_with_each_other() -> None:
    # Three pairs count: (first, each other); two of them are in order.
    assert c_index(np.array([0.5, 0.4, 0.6, 0.1]), np.array([1.0, NEVER, NEVER, NEVER])) == pytest.approx(2 / 3)


def test_the_index_without_any_event_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        c_index(np.array([0.1, 0.2]), np.array([NEVER, NEVER]))


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.5, 1.5, 2.5, NEVER])), min_size=2, max_size=12))
def test_the_index_is_the_share_counted_pair_by_pair(women: list[tuple[int, float]]) -> None:
    pairs = [(a, b) for a in women for b in women if a[1] < b[1]]
    if not pairs:
        return
    right = sum(1.0 if a[0] > b[0] else 0.5 if a[0] == b[0] else 0.0 for a, b in pairs)
    scores, years = (np.array(column, dtype=float) for column in zip(*women, strict=True))
    assert c_index(scores, years) == pytest.approx(right / len(pairs))
