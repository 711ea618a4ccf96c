"""Which exams are repeats, and what their differences come to."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.errors import StudyNotPossible
from cds.study.repeats import (
    BETWEEN,
    DETECTABLE,
    NOT_KNOWN,
    grows,
    in_logarithms,
    is_mostly_one_woman,
    levels,
    on_one_unit,
    pairs_within,
    spread_of,
)
from tests.cds.study.builders import OneExam, cohort, woman


def pairs_of(differences: list[float], level: float = 2.0) -> pd.DataFrame:
    """A pair of each woman; in per cent."""
    first = np.full(len(differences), level)
    return pd.DataFrame({"patient": range(len(first)), "first": first, "second": first + np.array(differences)})


def test_exams_that_follow_each_other_soon_are_pairs_and_no_exam_is_in_two() -> None:
    three = woman(("2025-01-01", 1.0), ("2025-02-01", 2.0), ("2025-03-01", 4.0), ("2025-08-01", 8.0))
    four = woman(*((f"2025-01-{day:02}", float(day)) for day in (1, 2, 3, 4)))

    found = pairs_within(cohort(three, four, woman(("2025-01-05", 9.0))).exams, 92)

    assert list(zip(found["patient"], found["first"].round(9), found["second"].round(9), strict=True)) == [
        (0, 1.0, 2.0),
        (1, 1.0, 2.0),
        (1, 3.0, 4.0),
    ]


@pytest.mark.parametrize(("within", "count"), [(0, 1), (29, 1), (30, 2)])
def test_how_far_apart_they_may_be_is_asked(within: int, count: int) -> None:
    same_day = woman(("2025-01-01", 1.0), ("2025-01-01", 2.0))
    month = woman(("2025-01-01", 1.0), ("2025-01-31", 2.0))

    assert len(pairs_within(cohort(same_day, month).exams, within)) == count


def test_a_pair_is_of_one_unit_of_two_or_of_one_that_is_not_known() -> None:
    def twice(first: str | None, second: str | None) -> str:
        exams = (OneExam("2025-01-01", 1.0, first), OneExam("2025-01-02", 1.0, second))
        return str(pairs_within(cohort(woman(*exams)).exams, 92)["device"].item())

    assert twice("A", "A") == "A"
    assert twice("A", "B") == BETWEEN
    assert twice("A", None) == BETWEEN
    assert twice(None, None) == NOT_KNOWN


def test_pairs_of_unknown_units_are_on_one_unit_only_where_no_unit_is_known() -> None:
    pairs = pairs_of([0.1] * 4)

    some = pairs.assign(device=["A", NOT_KNOWN, BETWEEN, "B"])
    assert list(on_one_unit(some)["device"]) == ["A", "B"]
    assert on_one_unit(pairs.assign(device=[BETWEEN, NOT_KNOWN, BETWEEN, BETWEEN])).empty
    assert len(on_one_unit(pairs.assign(device=NOT_KNOWN))) == 4


def test_one_woman_has_at_most_a_tenth_of_the_pairs_that_are_measured() -> None:
    of_ten = pairs_of([0.1, 0.2] * 15).assign(patient=[number % 10 for number in range(30)])

    assert not is_mostly_one_woman(of_ten)
    assert is_mostly_one_woman(of_ten.assign(patient=[0, *of_ten["patient"][:-1]]))


def test_the_standard_deviation_is_that_of_one_score_and_not_of_a_difference() -> None:
    # Bland and Altman: of two measurements it is the root of half the mean squared difference.
    found = spread_of(pairs_of([0.1, -0.3] * 20))

    assert found.sd == pytest.approx(math.sqrt((0.01 + 0.09) / 2 / 2))
    assert found.detectable[0] == pytest.approx(1.96 * math.sqrt(0.05))
    assert pytest.approx(2.7719, abs=1e-4) == DETECTABLE


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    samples = [spread_of(pairs_of(list(rng.normal(0, 0.3 * math.sqrt(2), 60)))) for _ in range(60)]

    held = sum(one.low <= 0.3 <= one.high for one in samples)

    assert 51 <= held <= 60  # of 60; 57 are expected


def test_women_and_not_pairs_are_drawn_again_for_the_interval() -> None:
    sizes = np.random.default_rng(1).uniform(0.1, 0.6, 20)
    of_200_women = spread_of(pairs_of(list(np.repeat(sizes, 10))))
    of_20_women = spread_of(pairs_of(list(np.repeat(sizes, 10))).assign(patient=np.repeat(range(20), 10)))

    assert of_20_women.sd == of_200_women.sd
    assert of_20_women.high - of_20_women.low > 2 * (of_200_women.high - of_200_women.low)


@pytest.mark.parametrize("same", [0.0, 0.1])
def test_scores_that_were_copied_are_no_repeats(same: float) -> None:
    with pytest.raises(StudyNotPossible, match="copies"):
        spread_of(pairs_of([same] * 40))


def test_differences_in_proportion_to_the_score_grow_and_their_logarithms_do_not() -> None:
    rng = np.random.default_rng(2)
    first = rng.uniform(0.5, 8.0, 300)
    pairs = pd.DataFrame({"patient": range(300), "first": first, "second": first * np.exp(rng.normal(0, 0.1, 300))})

    assert grows(pairs)
    assert not grows(
        in_logarithms(pairs).assign(first=lambda one: one["first"] + 10, second=lambda one: one["second"] + 10)
    )
    assert spread_of(in_logarithms(pairs)).sd == pytest.approx(0.1 / math.sqrt(2), rel=0.1)


@given(st.integers(1, 300), st.integers(1, 40))
def test_no_level_is_smaller_than_may_be_told(count: int, fewest: int) -> None:
    sizes = levels(pairs_of([0.1] * count), fewest).value_counts()

    assert len(sizes) <= 10
    assert sizes.min() >= min(fewest, count)
    assert sizes.max() - sizes.min() <= 1


@given(st.lists(st.integers(0, 30), min_size=40, max_size=200), st.integers(1, 12))
def test_no_level_is_of_fewer_women_than_may_be_told(patients: list[int], fewest: int) -> None:
    """The pairs of one woman lie together: hers alone would be a level of many pairs and of one woman."""
    pairs = pairs_of([0.1] * len(patients)).assign(patient=patients, first=[float(one) for one in patients])

    women = pairs["patient"].groupby(levels(pairs, fewest)).nunique()

    assert len(women) == 1 or women.min() >= fewest
