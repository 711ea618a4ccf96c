"""The index exam, the exams before it, and what is left out, as the published study has it."""

from __future__ import annotations

import pytest

from cds.study.cohorts.aligned import aligned
from cds.study.cohorts.flow import Step
from tests.cds.study.builders import OneExam, cohort, woman


def test_of_a_woman_with_a_cancer_the_last_exam_within_a_year_before_it_is_the_index_exam() -> None:
    found = aligned(cohort(woman(("2018-03-01", 2.0), ("2019-03-01", 3.0), diagnosis="2020-03-01"))).exams

    assert found["years"].tolist() == pytest.approx([-365 / 365.25, 0])
    assert found["percent"].tolist() == pytest.approx([2, 3])
    assert found["has_cancer"].all()


def test_a_cancer_found_more_than_a_year_after_the_last_exam_is_left_out() -> None:
    late = woman(("2018-03-01", 2.0), ("2019-02-28", 3.0), diagnosis="2020-03-01")

    found = aligned(cohort(late, woman(("2019-01-01", 1.0))))

    assert found.exams["patient"].tolist() == [1]
    assert found.flow.left_out == (Step("a cancer without an exam within a year before its diagnosis", 1, 2),)


def test_of_a_cancer_free_woman_the_last_exam_is_the_index_exam_however_long_she_is_followed() -> None:
    found = aligned(cohort(woman(("2010-01-01", 1.0), ("2012-01-01", 1.0), last_follow_up="2025-01-01"))).exams

    assert found["years"].tolist() == pytest.approx([-2, 0], abs=0.01)
    assert not found["has_cancer"].any()


def test_at_most_six_exams_of_six_years_before_the_index_exam_are_studied() -> None:
    many = woman(*((f"20{year}-{month}-01", 1.0) for year in range(10, 21) for month in ("01", "07")))

    found = aligned(cohort(many))

    assert len(found.exams) == 7
    assert found.exams["years"].min() == pytest.approx(-3, abs=0.01)
    assert [step.exams for step in found.flow.left_out] == [8, 7]


def test_only_the_first_exam_of_a_day_counts() -> None:
    found = aligned(cohort(woman(("2020-01-01", 1.0), ("2020-01-01", 9.0))))

    assert found.exams["percent"].tolist() == pytest.approx([1.0])
    assert found.flow.left_out == (Step("a second exam of the same day", 0, 1),)


def test_years_before_are_rounded_and_no_earlier_exam_shares_the_place_of_the_index_exam() -> None:
    days = ("2014-07-03", "2018-06-01", "2018-08-01", "2019-10-01", "2020-01-01")

    assert aligned(cohort(woman(*((day, 1.0) for day in days)))).year_before.tolist() == [5, 2, 1, 1, 0]


def test_age_and_density_are_those_at_the_index_exam() -> None:
    found = aligned(
        cohort(
            woman(OneExam("2019-01-01", 1.0, density="d", age=49.2), OneExam("2020-01-01", 1.0, density="c", age=50.2))
        )
    ).exams

    assert found["age"].tolist() == [50.2, 50.2]
    assert found["density"].tolist() == ["c", "c"]
