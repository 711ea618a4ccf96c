"""Counts that are not told, and those that would tell them."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from cds.study.telling.small_cells import (
    NOT_TOLD,
    hidden_together,
    may_be_told,
    part_told,
    told_in_turn,
    told_together,
    whole_told,
)

COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=8)


@given(COUNTS, st.integers(1, 15))
def test_what_is_hidden_does_not_follow_from_the_sum(counts: list[int], fewest: int) -> None:
    hidden = hidden_together(pd.DataFrame({"women": counts}), fewest)

    shown = [count for count, is_hidden in zip(counts, hidden, strict=True) if not is_hidden]
    together = sum(counts) - sum(shown)
    assert not any(0 < count < fewest for count in shown)
    assert together == 0 or together >= fewest or not shown
    assert hidden.sum() != 1 or not shown


def test_where_nothing_is_small_all_is_told() -> None:
    assert not hidden_together(pd.DataFrame({"women": [0, 11, 40]}), 11).any()


def test_the_smallest_of_the_others_is_hidden_with_a_small_one() -> None:
    hidden = hidden_together(pd.DataFrame({"women": [90, 3, 20, 50]}), 11)

    assert list(hidden) == [False, True, True, False]


def test_what_another_table_hides_is_hidden_here_too() -> None:
    counts = pd.DataFrame({"women": [90, 30, 20]})

    assert list(hidden_together(counts, 11, pd.Series([True, False, False]))) == [True, False, True]


def test_what_is_hidden_together_is_told_by_one_word() -> None:
    """Of "under 11" and "not told" whose sum is 12 the first is 1."""
    counts = pd.Series([88, 112, 1, 11])

    assert told_together(counts, hidden_together(counts.to_frame(), 11)) == ["88", "112", NOT_TOLD, NOT_TOLD]


def test_a_part_is_not_told_that_leaves_a_few() -> None:
    assert [part_told(part, 250, 11) for part in (249, 239, 250, 10, 0)] == [NOT_TOLD, "239", "250", "under 11", "0"]


def test_a_count_is_told_where_nothing_small_lies_between_it_and_the_last_that_was() -> None:
    assert told_in_turn(0, [0, 5, 12, 15, 30], 11) == ["0", "not told", "12", "not told", "30"]
    assert told_in_turn(40, [35, 25, 9, 0], 11) == ["not told", "25", "not told", "0"]


@given(st.integers(1, 20), st.lists(st.integers(0, 60), max_size=12).map(sorted))
def test_no_two_told_counts_give_a_small_one(fewest: int, counts: list[int]) -> None:
    told = [0, *(count for count, may in zip(counts, may_be_told(0, counts, fewest), strict=True) if may)]
    steps = {later - earlier for earlier, later in pairwise(told)}
    assert all(step == 0 or step >= fewest for step in steps)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(2, 15))
def test_a_whole_tells_nothing_that_its_told_parts_do_not(parts: list[int], fewest: int) -> None:
    """Whatever is hidden could be any other small number, and the whole would read the same."""
    hidden = [place for place, part in enumerate(parts) if 0 < part < fewest]
    said = {
        whole_told([1 + turn if place in hidden else part for place, part in enumerate(parts)], fewest)
        for turn in range(fewest - 1)
    }

    assert said == {whole_told(parts, fewest)}
    assert hidden or said == {str(sum(parts))}


def test_a_whole_with_a_small_part_is_told_to_hundreds() -> None:
    assert whole_told([1940, 3, 20], 11) == "about 2000"
    assert whole_told([30, 3], 11) == "under 100"
