"""What no study can use is left out and counted; what can be put right is put right and noted."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds.errors import StudyNotPossible
from cds.study.cohorts.assembling import up_to_today
from cds.study.cohorts.flow import Step
from tests.cds.study.cohorts.test_reading import read, refusal

HEADER = "patient,exam_date,score,diagnosis_date,diagnosis_type,last_follow_up"


def test_exams_without_a_score_and_rows_that_stand_there_twice_are_left_out(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        HEADER,
        "a,2020-01-01,2,,,",
        "a,2020-01-01,2,,,",
        "a,2020-01-01,3,,,",
        "a,2021-01-01,,,,",
        "b,2020-01-01,NA,,,",
    )

    assert found.exams["score"].tolist() == pytest.approx([0.02, 0.03])
    assert found.flow.left_out == (Step("an exam without a score", 1, 2), Step("the same row a second time", 0, 1))
    assert (found.flow.women_kept, found.flow.exams_kept) == (1, 2)


def test_exams_after_the_diagnosis_and_women_with_an_earlier_one_are_left_out(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        HEADER,
        "a,2020-01-01,2,2020-06-01,,",
        "a,2021-01-01,9,2020-06-01,,",
        "b,2020-01-01,2,2019-12-31,,",
        "c,2020-01-01,2,,DCIS,",
    )

    assert found.exams["score"].tolist() == [0.02]
    assert found.flow.left_out == (
        Step("a cancer without its day of diagnosis", 1, 1),
        Step("a diagnosis before the first exam", 1, 1),
        Step("an exam after the diagnosis", 0, 1),
    )


def test_an_exam_on_the_day_of_the_diagnosis_is_one_before_it(tmp_path: Path) -> None:
    found = read(tmp_path, HEADER, "a,2020-01-01,2,2020-01-01,invasive,2021-01-01")

    assert len(found.exams) == 1
    assert found.flow.noted == (Step("an exam on the day of the diagnosis, taken as one before it", 1, 1),)


def test_a_follow_up_stays_as_it_was_told_whatever_is_known_besides(tmp_path: Path) -> None:
    """Moved to the last exam or the diagnosis it would depend on what became of her."""
    found = read(
        tmp_path, HEADER, "a,2020-01-01,2,,,2019-01-01", "b,2020-01-01,2,,,", "c,2020-01-01,2,2020-05-01,,2020-02-01"
    )

    assert found.women["last_follow_up"].tolist() == [*map(pd.Timestamp, ("2019-01-01", "NaT", "2020-02-01"))]
    assert found.flow.noted == ()


def test_what_is_said_of_a_woman_in_one_of_her_rows_holds_for_all(tmp_path: Path) -> None:
    found = read(tmp_path, HEADER, "a,2020-01-01,2,,,", "a,2021-01-01,2,2021-02-01,DCIS,2022-01-01")

    assert found.women["diagnosis_date"].tolist() == [pd.Timestamp("2021-02-01")]


def test_when_nothing_is_left_it_says_why(tmp_path: Path) -> None:
    assert refusal(tmp_path, HEADER, "a,2020-01-01,,,,") == (
        "no exam is left: under 11 left out, an exam without a score"
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.sampled_from(["", "2", "3"])), min_size=1, max_size=12
    ),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 5)),
)
def test_every_exam_is_studied_or_counted_and_none_is_after_the_diagnosis(
    tmp_path: Path, rows: list[tuple[str, int, str]], diagnosed: dict[str, int]
) -> None:
    lines = [
        f"{who},2020-01-{10 + day},{score},{_day(diagnosed.get(who))},," for who, day, score in [*rows, ("d", 1, "2")]
    ]

    found = read(tmp_path, HEADER, *lines)

    assert found.flow.exams == len(lines)
    assert (found.flow.exams_kept, found.flow.women_kept) == (len(found.exams), len(found.women))
    assert set(found.exams["patient"]) == set(found.women.index)
    joined = found.exams.join(found.women, on="patient")
    assert not (joined["exam_date"] > joined["diagnosis_date"]).any()


def _day(number: int | None) -> str:
    return "" if number is None else f"2020-01-{10 + number}"


@pytest.mark.parametrize(
    ("column", "row"),
    [("last_follow_up", "a,2020-01-01,2,,,2099-12-31"), ("diagnosis_date", "a,2020-01-01,2,2026-05-22,,")],
)
def test_a_day_that_is_yet_to_come_is_no_follow_up(column: str, row: str, tmp_path: Path) -> None:
    found = read(tmp_path, HEADER, row)

    with pytest.raises(StudyNotPossible, match=f"column {column}: days after today"):
        up_to_today(found, date(2026, 5, 20))


def test_an_exam_that_is_yet_to_come_is_left_out_and_the_follow_up_stays_as_it_was_told(tmp_path: Path) -> None:
    rows = ("a,2020-01-01,2,,,2025-01-01", "a,2062-01-01,9,,,", "b,2020-01-01,3,,,2024-01-01", "c,2026-05-21,3,,,")
    found = up_to_today(read(tmp_path, HEADER, *rows), date(2026, 5, 20))

    assert found.exams["score"].tolist() == pytest.approx([0.02, 0.03, 0.03])
    assert found.women["last_follow_up"].tolist() == [*map(pd.Timestamp, ("2025-01-01", "2024-01-01", "NaT"))]
    assert found.flow.left_out[-1] == Step("an exam dated after today", 0, 1)
