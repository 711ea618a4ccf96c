"""Which exam counts as the newest."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from hooks.exams import apart, exam_words, exams_newest_first, latest_scored, newest_exam
from model.domain import Assessment, PendingExam, RefusedExam, Trajectory
from tests.hooks.builders import history_of, one_exam, pending, refused, scored

DAY = date(2026, 5, 3)


def test_no_exam_at_all_has_no_newest_one() -> None:
    assert newest_exam(Assessment()) is None
    assert latest_scored(Assessment()) is None


def test_a_trajectory_without_comparable_exams_has_no_latest_score() -> None:
    assert latest_scored(Assessment(Trajectory(()))) is None


def test_an_exam_without_a_date_may_be_the_newest() -> None:
    unknown = pending(None)
    assert newest_exam(Assessment(history_of(), pending=(unknown,))) is unknown
    assert exam_words(unknown) == "an exam without a date"


def test_of_two_exams_on_one_day_the_scored_one_comes_first() -> None:
    exam = scored(day=DAY)
    assessment = Assessment(Trajectory((exam,)), refused=(refused(DAY),), pending=(pending(DAY),))
    assert [type(each).__name__ for each in exams_newest_first(assessment)] == [
        "ScoredExam",
        "PendingExam",
        "RefusedExam",
    ]
    assert newest_exam(one_exam(exam)) is exam


@given(order=st.permutations([0, 1, 2, 3]))
def test_the_order_in_which_exams_are_known_does_not_matter(order: list[int]) -> None:
    exams = [refused(date(2020 + place, 5, 3)) for place in range(2)]
    queued = [pending(date(2022 + place, 5, 3)) for place in range(2)]
    shuffled = [(exams + queued)[place] for place in order]
    assessment = Assessment(
        refused=tuple(e for e in shuffled if isinstance(e, RefusedExam)),
        pending=tuple(e for e in shuffled if isinstance(e, PendingExam)),
    )
    assert [e.performed_on.year for e in exams_newest_first(assessment) if e.performed_on] == [2023, 2022, 2021, 2020]


def test_an_exam_that_two_models_have_scored_is_one_exam() -> None:
    new, old = scored(0.02, DAY), scored(0.03, DAY)
    assessment = Assessment(Trajectory((new,), apart=(old,)))
    assert exams_newest_first(assessment) == (new,)


def test_of_two_scored_exams_on_one_day_the_comparable_one_is_the_newest() -> None:
    new, other = scored(0.02, DAY), scored(0.03, DAY, study_uid="1.2.77")
    assert newest_exam(Assessment(Trajectory((new,), apart=(other,)))) is new


def test_of_two_comparable_scores_on_one_day_the_one_that_counts_is_the_newest() -> None:
    higher, lower, before = scored(0.025, DAY), scored(0.012, DAY, study_uid="1.2.77"), scored(0.01, date(2025, 5, 3))
    line = Trajectory((before, higher), same_day=(lower,))
    assert exams_newest_first(Assessment(line)) == (higher, lower, before)
    assert apart(line) == ()


def test_an_exam_older_than_the_line_is_still_one_of_her_exams_and_stands_not_apart() -> None:
    new, old, other = scored(0.02, DAY), scored(0.03, date(2015, 5, 3)), scored(0.04, date(2014, 5, 3))
    rescored = scored(0.05, date(2015, 5, 3))
    line = Trajectory((new,), older=(old,), apart=(rescored, other))
    assert exams_newest_first(Assessment(line)) == (new, old, other)
    assert apart(line) == (other,)
