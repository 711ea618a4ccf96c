from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.errors import StudyNotPossible
from cds.study.cohorts.flow import Step
from cds.study.cohorts.landmark import first_exams, first_with_change
from tests.cds.study.builders import Woman, cohort, woman


def test_the_first_exam_nine_months_after_the_one_before_is_taken_whatever_came_later() -> None:
    steady = woman(
        ("2015-01-01", 1.0), ("2015-06-01", 1.5), ("2016-06-01", 2.5), ("2017-06-01", 9.0), last_follow_up="2021-06-01"
    )
    found = first_with_change(cohort(steady)).women
    assert list(found["exam_date"]) == [pd.Timestamp("2016-06-01")]
    (row,) = found.itertuples()
    assert row.score == 0.025
    assert row.change == pytest.approx(1.0, rel=0.01)
    assert row.years == pytest.approx(5.0, abs=0.01)
    assert not row.is_case


def test_what_became_of_her_does_not_move_the_exam() -> None:
    exams = (("2015-01-01", 1.0), ("2016-01-01", 2.0), ("2017-01-01", 6.0))
    well = first_with_change(cohort(woman(*exams, last_follow_up="2019-01-01"))).women
    ill = first_with_change(cohort(woman(*exams, diagnosis="2017-02-01"))).women
    assert list(well["exam_date"]) == list(ill["exam_date"])
    assert list(well["change"]) == list(ill["change"])
    assert list(ill["is_case"]) == [True]
    assert ill["years"].iloc[0] == pytest.approx(1.087, abs=0.001)


def test_an_exam_on_the_day_of_the_diagnosis_came_before_it_and_one_after_it_foretells_nothing() -> None:
    found = first_exams(
        cohort(
            woman(("2015-01-02", 1.0), diagnosis="2015-01-01", last_follow_up="2018-01-01"),
            woman(("2015-01-01", 1.0), diagnosis="2015-01-01"),
        )
    )
    assert list(found.women.index) == [1]
    assert found.cases_within(1) == 1
    assert [step.words for step in found.flow.left_out] == ["an exam after the diagnosis"]


def followed(count: int = 40, /, **known: str | None) -> list[Woman]:
    """Women of whom it is told how long they were followed."""
    return [woman(("2010-01-01", 1.0), **({"last_follow_up": "2018-01-01"} | known))] * count


def test_a_woman_without_a_told_follow_up_is_left_out_and_counted_whether_or_not_she_has_a_cancer() -> None:
    ill = {"diagnosis": "2012-01-01"}
    women = (*followed(), *followed(**ill), *followed(1, last_follow_up=""), *followed(2, **ill, last_follow_up=""))

    found = first_exams(cohort(*women))

    assert list(found.women.index) == [*range(80)]
    assert found.flow.left_out == (Step("of a woman whose last follow-up is not told", 3, 3),)


def test_a_diagnosis_after_the_told_follow_up_is_not_counted_and_she_is_followed_as_if_she_had_none() -> None:
    found = first_exams(
        cohort(*followed(1), *followed(1, diagnosis="2018-01-02"), *followed(1, diagnosis="2018-01-01"))
    )

    assert found.women["is_case"].tolist() == [False, False, True]
    assert found.women["years"].iloc[0] == found.women["years"].iloc[1]
    assert found.flow.noted == (Step("a diagnosis after the last follow-up, not counted", 1, 1),)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.integers(-20, 20))
def test_whether_a_woman_is_studied_does_not_depend_on_what_became_of_her(diagnosed: int, told: int) -> None:
    """The days are from her exam on; she leaves where her follow-up ended before it."""
    day, until = (f"{pd.Timestamp('2015-06-01') + pd.Timedelta(days=days):%Y-%m-%d}" for days in (diagnosed, told))
    of = {"last_follow_up": until}

    well, ill = (
        first_exams(cohort(woman(("2015-06-01", 1.0), **of, **known), *followed(99), *followed(99, diagnosis=day)))
        for known in ({}, {"diagnosis": day})
    )

    assert (0 in well.women.index) == (0 in ill.women.index) == (told >= 0)


@pytest.mark.parametrize("few", [{"last_follow_up": ""}, {"last_follow_up": "2010-01-01"}])
def test_a_few_women_without_a_follow_up_are_studied_without_and_with_more_the_study_is_refused(
    few: dict[str, str],
) -> None:
    """The day of the last exam says no more than that there was one."""
    assert len(first_exams(cohort(*followed(95), *followed(5, **few))).women) >= 95
    with pytest.raises(StudyNotPossible, match=r"column last_follow_up: over 5 % of the women without a cancer"):
        first_exams(cohort(*followed(94), *followed(6, **few)))


def test_a_follow_up_that_only_the_women_without_a_cancer_have_is_refused() -> None:
    women = (
        *followed(400),
        *followed(18, diagnosis="2012-01-01"),
        *followed(2, diagnosis="2012-01-01", last_follow_up=""),
    )
    with pytest.raises(StudyNotPossible, match=r"column last_follow_up: over 5 % of the women with a cancer"):
        first_exams(cohort(*women))


def test_where_nobody_has_a_follow_up_it_is_said_of_the_women_with_a_cancer_and_of_those_without() -> None:
    without = {"last_follow_up": ""}
    with pytest.raises(StudyNotPossible, match="of the women with a cancer and of those without a cancer have none"):
        first_exams(cohort(*followed(**without), *followed(diagnosis="2012-01-01", **without)))


def test_a_cohort_without_any_change_has_nobody_after_its_landmark() -> None:
    assert first_with_change(cohort(*followed(3))).women.empty


def test_cases_and_followed_are_counted_by_years() -> None:
    found = first_exams(
        cohort(
            woman(("2010-01-01", 1.0), diagnosis="2012-01-01"),
            woman(("2010-01-01", 1.0), diagnosis="2017-01-01"),
            woman(("2010-01-01", 1.0), last_follow_up="2011-01-01"),
        )
    )
    assert [found.cases_within(years) for years in (1, 3, 8)] == [0, 1, 2]
    assert [found.followed_beyond(years) for years in (0.5, 3, 8)] == [3, 1, 0]


@pytest.mark.parametrize("first", ["2014-03-01", "2015-03-01", "2016-02-29", "2016-03-01"])
def test_who_was_followed_for_five_years_to_the_day_was_followed_for_five(first: str) -> None:
    """Of five years one or two are leap years, and 1826 days are less than five times 365.25."""
    until = f"{pd.Timestamp(first) + pd.DateOffset(years=5):%Y-%m-%d}"
    before = f"{pd.Timestamp(until) - pd.Timedelta(days=2):%Y-%m-%d}"
    found = first_exams(cohort(woman((first, 1.0), last_follow_up=until), woman((first, 1.0), last_follow_up=before)))
    assert list(found.women["years"] > 5) == [True, False]
