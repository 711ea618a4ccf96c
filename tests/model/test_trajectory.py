from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.domain import AcquisitionDevice, ImageType, ModelVersion, RiskScore, ScoredExam
from model.trajectory import trajectory

MODEL = ModelVersion("m", "a" * 64, "p1", "c1")
FIRST = date(2019, 3, 1)
SCORED = datetime(2026, 1, 5, 3, 30, tzinfo=UTC)


def exam(day: date, risk: float, study: str | None = None, **fields: object) -> ScoredExam:
    score = RiskScore((0.0, 0.0, 0.0, 0.0, risk), (0.5,) * 5, MODEL)
    standard = ScoredExam(study or f"1.2.{day.toordinal()}", day, score, SCORED)
    return replace(standard, **fields)  # type: ignore[arg-type] # the tests name real fields


def after(days: int) -> date:
    return FIRST + timedelta(days=days)


def over(risk: float) -> bool:
    return risk > 0.017


def of_another(exam: ScoredExam, model: ModelVersion) -> ScoredExam:
    return replace(exam, score=replace(exam.score, model=model))


def risks_of(exams: Sequence[ScoredExam]) -> list[float]:
    return [exam.score.five_year for exam in exams]


histories = st.lists(
    st.tuples(st.integers(0, 3000), st.floats(0, 1), st.integers(0, 2), st.booleans()), min_size=1, max_size=8
).map(
    lambda visits: [
        exam(
            after(day),
            risk,
            study=f"1.2.{number % 5}",
            scored_at=SCORED + timedelta(hours=hour),
            image_type=ImageType.SYNTHETIC_2D if synthetic else ImageType.FFDM,
        )
        for number, (day, risk, hour, synthetic) in enumerate(visits)
    ]
)


def test_without_exams_there_is_no_trajectory() -> None:
    assert trajectory([], over) is None


def test_one_exam_has_neither_change_nor_rate() -> None:
    line = trajectory([exam(FIRST, 0.02)], over)
    assert line is not None
    assert (line.change, line.slope_per_year, line.steepest, line.years) == (None, None, None, 0.0)
    assert line.first_over == line.latest


@given(exams=histories, data=st.data())
def test_the_order_of_arrival_does_not_matter(exams: list[ScoredExam], data: st.DataObject) -> None:
    assert trajectory(data.draw(st.permutations(exams)), over) == trajectory(exams, over)


@given(exams=histories, data=st.data())
def test_exams_that_arrive_twice_count_once(exams: list[ScoredExam], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(exams)))
    assert trajectory([*exams, *again], over) == trajectory(exams, over)


@given(exams=histories, day=st.integers(-1000, 3000), risk=st.floats(0, 1))
def test_an_incomparable_exam_never_changes_the_comparable_line(exams: list[ScoredExam], day: int, risk: float) -> None:
    line = trajectory(exams, over)
    assert line is not None
    stranger = of_another(exam(after(day), risk, study="9.9"), replace(MODEL, weights="b" * 64))
    if (stranger.performed_on, stranger.scored_at) >= (line.latest.performed_on, line.latest.scored_at):
        return  # a later exam is the one the others are compared with
    joined = trajectory([*exams, stranger], over)
    assert joined is not None
    assert replace(joined, apart=line.apart) == line
    assert stranger in joined.apart


@pytest.mark.parametrize(
    "other",
    [
        replace(MODEL, name="n"),
        replace(MODEL, weights="b" * 64),
        replace(MODEL, preprocessing="p2"),
        replace(MODEL, calibration="c2"),
    ],
)
def test_scores_of_another_model_preprocessing_or_calibration_stand_apart(other: ModelVersion) -> None:
    old = of_another(exam(FIRST, 0.01), other)
    line = trajectory([old, exam(after(365), 0.02), exam(after(730), 0.03)], over)
    assert line is not None
    assert line.apart == (old,)
    assert risks_of(line.points) == [0.02, 0.03]


def test_a_synthetic_picture_is_not_joined_to_an_acquired_one() -> None:
    synthetic = exam(FIRST, 0.01, image_type=ImageType.SYNTHETIC_2D)
    line = trajectory([synthetic, exam(after(365), 0.02)], over)
    assert line is not None
    assert line.apart == (synthetic,)
    assert line.change is None


def test_the_latest_exam_is_the_one_the_others_are_compared_with() -> None:
    new_model = replace(MODEL, weights="b" * 64)
    latest = of_another(exam(after(730), 0.03), new_model)
    line = trajectory([exam(FIRST, 0.01), exam(after(365), 0.02), latest], over)
    assert line is not None
    assert line.points == (latest,)
    assert len(line.apart) == 2


def test_of_one_study_and_model_the_last_scoring_counts() -> None:
    first = exam(FIRST, 0.01, study="1.2")
    again = exam(FIRST, 0.05, study="1.2", scored_at=SCORED + timedelta(days=1))
    for arrived in ([first, again], [again, first]):
        line = trajectory(arrived, over)
        assert line is not None
        assert line.points == (again,)


def test_one_study_scored_by_two_models_is_a_point_of_one_line_only() -> None:
    old = of_another(exam(FIRST, 0.01, study="1.2"), replace(MODEL, weights="b" * 64))
    new = exam(FIRST, 0.02, study="1.2", scored_at=SCORED + timedelta(days=1))
    line = trajectory([new, old], over)
    assert line is not None
    assert (line.points, line.apart) == ((new,), (old,))


@given(
    days=st.lists(st.integers(0, 4000), min_size=2, max_size=9, unique=True).filter(lambda d: max(d) - min(d) > 273),
    slope=st.floats(-0.02, 0.02),
)
def test_the_slope_of_a_straight_line_is_its_slope(days: list[int], slope: float) -> None:
    line = trajectory([exam(after(day), 0.4 + slope * day / 365.25) for day in days], over)
    assert line is not None
    assert line.slope_per_year == pytest.approx(slope, abs=1e-9)
    assert line.change == pytest.approx(slope * line.years, abs=1e-9)


def test_the_slope_is_least_squares_and_not_last_minus_first() -> None:
    year = 365.25
    days = [round(n * year) for n in (0, 4, 8)]
    line = trajectory([exam(after(day), risk) for day, risk in zip(days, [0.01, 0.09, 0.01], strict=True)], over)
    assert line is not None
    assert line.slope_per_year == pytest.approx(0, abs=1e-9)
    uneven = trajectory([exam(after(round(n * year)), r) for n, r in ((0, 0.01), (4, 0.02), (8, 0.09))], over)
    assert uneven is not None
    assert uneven.slope_per_year == pytest.approx(0.01)


def test_exams_less_than_nine_months_apart_give_a_change_but_no_rate() -> None:
    line = trajectory([exam(FIRST, 0.01), exam(after(272), 0.03)], over)
    assert line is not None
    assert line.change == pytest.approx(0.02)
    assert (line.slope_per_year, line.steepest) == (None, None)


def test_nine_months_by_the_calendar_are_enough_for_a_rate() -> None:
    shortest = [exam(date(2025, 2, 1), 0.01), exam(date(2025, 11, 1), 0.03)]
    line = trajectory(shortest, over)
    assert line is not None
    assert line.slope_per_year == pytest.approx(0.02 / (273 / 365.25))
    assert line.steepest is not None


def test_the_first_exam_over_the_threshold_is_marked_even_when_later_ones_fall_under_it() -> None:
    days_and_risks = ((0, 0.01), (365, 0.017), (730, 0.018), (1095, 0.05), (1460, 0.01))
    exams = [exam(after(day), risk) for day, risk in days_and_risks]
    line = trajectory(exams, over)
    assert line is not None
    assert line.first_over == exams[2]


def test_no_exam_over_the_threshold_marks_none() -> None:
    line = trajectory([exam(FIRST, 0.01), exam(after(365), 0.017)], over)
    assert line is not None
    assert line.first_over is None


def test_the_steepest_recent_interval_is_by_rate_and_not_by_change() -> None:
    exams = [exam(after(day), risk) for day, risk in ((0, 0.01), (365, 0.02), (1095, 0.035))]
    line = trajectory(exams, over)
    assert line is not None
    assert line.steepest is not None
    assert (line.steepest.earlier, line.steepest.later) == (exams[0], exams[1])


def test_an_interval_that_ended_more_than_three_years_ago_is_not_recent() -> None:
    exams = [exam(after(day), risk) for day, risk in ((0, 0.01), (365, 0.09), (730, 0.09), (1500, 0.1))]
    line = trajectory(exams, over)
    assert line is not None
    assert line.steepest is not None
    assert line.steepest.later == exams[3]


def test_a_short_interval_is_never_the_steepest() -> None:
    exams = [exam(after(day), risk) for day, risk in ((0, 0.01), (365, 0.011), (400, 0.09))]
    line = trajectory(exams, over)
    assert line is not None
    assert line.steepest is not None
    assert line.steepest.later == exams[1]


def test_a_score_that_only_falls_has_no_steepest_rise() -> None:
    line = trajectory([exam(FIRST, 0.03), exam(after(365), 0.02), exam(after(730), 0.02)], over)
    assert line is not None
    assert line.steepest is None


@pytest.mark.parametrize(
    "device", [AcquisitionDevice("B", "m", "1"), AcquisitionDevice("A", "n", "1"), AcquisitionDevice("A", "m", "2")]
)
def test_a_change_of_device_or_its_software_is_marked_and_does_not_cut_the_line(device: AcquisitionDevice) -> None:
    first = exam(FIRST, 0.01, device=AcquisitionDevice("A", "m", "1"))
    second = exam(after(365), 0.02, device=AcquisitionDevice("A", "m", "1"))
    third = exam(after(730), 0.03, device=device)
    line = trajectory([third, first, second], over)
    assert line is not None
    assert line.points == (first, second, third)
    assert [(change.earlier, change.later) for change in line.device_changes] == [(second, third)]
