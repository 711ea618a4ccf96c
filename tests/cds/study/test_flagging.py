"""Who each policy would have flagged, woman by woman."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.errors import StudyNotPossible
from cds.study.flagging import Period, Screened, flag_all, is_rising, newly, percentile_cut, percentile_words
from hooks.case import Comparator, MriPolicy
from tests.cds.study.builders import OneExam, Woman, cohort, woman

SINCE, UNTIL = date(2025, 1, 1), date(2025, 12, 31)
POLICY = MriPolicy(minimum_detectable_change=0.005)


def at(day: str, percent: float, age: float | None = 50) -> OneExam:
    return OneExam(day, percent, age=age)


def flagged(*women: Woman, policy: MriPolicy = POLICY, follow_up: float = 1.0) -> dict[str, pd.DataFrame]:
    """The women by policy, as judged in 2025."""
    screened = Screened.of(cohort(*women), SINCE, UNTIL)
    return {one.name: one.women for one in flag_all(screened, policy, 97, follow_up, fewest=11)}


def who(*women: Woman, policy: MriPolicy = POLICY) -> dict[str, list[int]]:
    """The numbers of the flagged women by policy."""
    return {name: list(frame.index[frame["is_flagged"]]) for name, frame in flagged(*women, policy=policy).items()}


def test_each_policy_flags_its_own() -> None:
    low = woman(at("2025-03-01", 1.0))
    over = woman(at("2024-03-01", 2.0), at("2025-03-01", 2.1))
    newly_over = woman(at("2024-03-01", 1.6), at("2025-03-01", 1.8))
    rising = woman(at("2024-03-01", 1.0), at("2025-03-01", 1.5))
    highest = woman(at("2024-03-01", 1.0), at("2025-03-01", 9.0))

    assert who(low, over, newly_over, rising, highest) == {
        "threshold": [1, 2, 4],
        "percentile": [],  # of five scores the highest is the 97th percentile, and nothing is over it
        "newly_over": [2, 4],
        "rising": [3, 4],
        "over_and_rising": [4],
    }


@pytest.mark.parametrize(("comparator", "expected"), [(Comparator.OVER, []), (Comparator.AT_LEAST, [0])])
def test_a_score_at_the_threshold_counts_as_the_site_compares(comparator: Comparator, expected: list[int]) -> None:
    found = who(woman(at("2025-03-01", 1.7)), policy=MriPolicy(comparator=comparator))

    assert found["threshold"] == expected


@pytest.mark.parametrize(("age", "expected"), [(34.99, []), (35.0, [0]), (None, [])])
def test_whose_age_is_under_the_rule_or_not_known_is_not_flagged(age: float | None, expected: list[int]) -> None:
    assert who(woman(at("2025-03-01", 9.0, age)))["threshold"] == expected


def test_without_a_minimum_detectable_change_nobody_is_called_rising() -> None:
    found = who(woman(at("2024-03-01", 1.0), at("2025-03-01", 9.0)), policy=MriPolicy())

    assert found.keys() == {"threshold", "percentile", "newly_over"}


def test_a_first_exam_is_over_and_not_newly_over() -> None:
    found = who(woman(at("2025-03-01", 2.0)))

    assert (found["threshold"], found["newly_over"]) == ([0], [])


@pytest.mark.parametrize(("over", "is_told"), [(0, False), (3, False), (11, True)])
def test_the_cut_of_the_percentile_is_not_told_where_nobody_or_a_few_are_over_it(over: int, is_told: bool) -> None:
    exams = cohort(*(woman(at("2025-03-01", 2.0 + 3 * (number < over))) for number in range(40))).exams

    assert ("2.00 %" in percentile_words(exams, 97, 0.02, fewest=11)) is is_told


def test_once_over_and_back_is_not_newly_over_again() -> None:
    exams = cohort(woman(at("2022-01-01", 2.0), at("2023-01-01", 1.0), at("2024-01-01", 2.0))).exams

    assert not newly(exams, exams["score"] > 0.017).any()


def test_a_rise_is_from_the_first_of_six_priors_and_of_one_woman() -> None:
    eight = woman(at("2017-01-01", 1.0), *(at(f"{year}-01-01", 2.0) for year in range(2018, 2025)))
    other = woman(at("2016-01-01", 9.0))
    exams = cohort(other, eight, other).exams

    # Up to the seventh exam the first is a prior; at the eighth it is not.
    assert list(is_rising(exams, 0.01)) == [False, False, *[True] * 6, False, False]


def test_a_rise_of_the_minimum_itself_is_measurable() -> None:
    exams = cohort(woman(at("2024-01-01", 2.0), at("2025-01-01", 3.0))).exams

    assert list(is_rising(exams, 0.01)) == [False, True]  # 0.03 - 0.02 is a float under 0.01


def test_the_day_that_counts_is_that_of_the_first_flagged_exam_or_of_the_last() -> None:
    twice = woman(at("2025-02-01", 1.0), at("2025-05-01", 2.0), at("2025-09-01", 2.0))
    never = woman(at("2025-02-01", 1.0), at("2025-05-01", 1.0))

    days = flagged(twice, never)["threshold"]["index_date"]

    assert list(days.dt.date) == [date(2025, 5, 1), date(2025, 5, 1)]


@pytest.mark.parametrize(
    ("diagnosis", "counts"), [("2025-03-01", True), ("2026-03-01", True), ("2026-03-02", False), (None, False)]
)
def test_a_cancer_counts_from_the_exams_day_to_the_end_of_the_follow_up(diagnosis: str | None, counts: bool) -> None:
    found = flagged(woman(at("2025-03-01", 2.0), diagnosis=diagnosis, last_follow_up="2026-04-01"))["threshold"]

    assert list(found["has_cancer"]) == [counts]
    assert list(found["is_complete"]) == [True]


def test_who_was_not_followed_so_long_is_not_complete_unless_her_cancer_is_known() -> None:
    lost = woman(at("2025-03-01", 2.0), last_follow_up="2025-09-01")
    ill = woman(at("2025-03-01", 2.0), diagnosis="2025-08-01", last_follow_up="2025-09-01")

    assert list(flagged(lost, ill)["threshold"]["is_complete"]) == [False, True]


def test_exams_after_a_diagnosis_and_second_ones_of_a_day_are_left_out_and_counted() -> None:
    after = woman(at("2025-01-10", 1.0), at("2025-11-01", 9.0), diagnosis="2025-02-01")
    double = woman(at("2025-03-01", 1.0), at("2025-03-01", 9.0))

    screened = Screened.of(cohort(after, double), SINCE, UNTIL)

    assert screened.cohort.exams["score"].max() == pytest.approx(0.01)
    assert [(step.words, step.exams) for step in screened.cohort.flow.left_out] == [
        ("a second exam of the same day", 1),
        ("an exam after the diagnosis", 1),
    ]


def test_without_days_the_period_is_the_year_that_ends_with_the_last_exam() -> None:
    exams = cohort(woman(("2020-01-01", 1.0), ("2024-02-29", 1.0))).exams

    assert Period.of(exams, None, None) == Period(date(2023, 3, 2), date(2024, 2, 29))
    assert Period.of(exams, date(2020, 1, 1), None) == Period(date(2020, 1, 1), date(2020, 12, 30))


@pytest.mark.parametrize("until", [date(2024, 12, 31), date(2026, 1, 2)])
def test_a_period_that_ends_before_it_begins_or_lasts_over_a_year_is_refused(until: date) -> None:
    with pytest.raises(StudyNotPossible, match="at most a year"):
        Period(SINCE, until)


def test_a_period_without_exams_is_refused() -> None:
    with pytest.raises(StudyNotPossible, match="nobody was examined from 2025-01-01 to 2025-12-31"):
        Screened.of(cohort(woman(("2020-01-01", 1.0))), SINCE, UNTIL)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.integers(1, 99))
def test_at_most_the_rest_is_over_a_percentile(scores: list[int], percentile: int) -> None:
    series = pd.Series(scores, dtype=float)

    over = int((series > percentile_cut(series, percentile)).sum())

    assert over * 100 <= len(scores) * (100 - percentile)
