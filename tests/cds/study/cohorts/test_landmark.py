from __future__ import annotations

import pandas as pd
import pytest

from cds.study.cohorts.landmark import first_exams, first_with_change
from tests.cds.study.builders import cohort, woman


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


def test_who_was_not_heard_of_after_the_exam_is_left_out_and_counted() -> None:
    found = first_exams(cohort(woman(("2015-01-01", 1.0)), woman(("2015-01-01", 1.0), last_follow_up="2016-01-01")))
    assert list(found.women.index) == [1]
    assert [(step.women, step.exams) for step in found.flow.left_out] == [(1, 1)]


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
