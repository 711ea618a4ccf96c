from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.domain import (
    AcquisitionDevice,
    Comparability,
    ImageType,
    Interval,
    ModelVersion,
    RiskScore,
    ScoredExam,
    Trajectory,
    months_before,
)
from model.trajectory import MOST_PRIORS, trajectory

MODEL = ModelVersion("m", "a" * 64, "p1", "c1")
OTHER_MODEL = ModelVersion("m", "b" * 64, "p1", "c1")
CLASS = Comparability(MODEL.key, ImageType.FFDM)
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


def line_of(exams: Sequence[ScoredExam], **settings: Any) -> Trajectory:
    line = trajectory(exams, over, **settings)
    assert line is not None
    return line


exams_of_any_class = st.builds(
    lambda day, risk, study, hour, software, image_type, model: of_another(
        exam(
            after(day),
            risk,
            study=f"1.2.{study}",
            scored_at=SCORED + timedelta(hours=hour),
            image_type=image_type,
            device=AcquisitionDevice("A", "m", software),
        ),
        model,
    ),
    st.integers(-1000, 3000),
    st.floats(0, 1),
    st.integers(0, 12),
    st.integers(0, 2),
    st.sampled_from(["1", "2"]),
    st.sampled_from(ImageType),
    st.sampled_from([MODEL, OTHER_MODEL]),
)
histories = st.lists(exams_of_any_class, min_size=1, max_size=16)
classes = st.none() | st.just(CLASS)


def test_without_exams_there_is_no_trajectory() -> None:
    assert trajectory([], over) is None


def test_one_exam_has_neither_change_nor_rate() -> None:
    line = trajectory([exam(FIRST, 0.02)], over)
    assert line is not None
    assert (line.change, line.slope_per_year, line.steepest, line.years) == (None, None, None, 0.0)
    assert line.first_over == line.latest


SAME_INSTANT = exam(FIRST, 0.02, study="1.2.1")


@given(exams=histories, line_class=classes, data=st.data())
@example(exams=[SAME_INSTANT, replace(SAME_INSTANT, warnings=("W",))], line_class=None, data=None)
@example(exams=[SAME_INSTANT, of_another(SAME_INSTANT, OTHER_MODEL)], line_class=None, data=None)
def test_the_order_of_arrival_does_not_matter(
    exams: list[ScoredExam], line_class: Comparability | None, data: st.DataObject | None
) -> None:
    arrived = data.draw(st.permutations(exams)) if data else exams[::-1]
    assert trajectory(arrived, over, line_of=line_class) == trajectory(exams, over, line_of=line_class)


@given(exams=histories, line_class=classes, data=st.data())
def test_exams_that_arrive_twice_count_once(
    exams: list[ScoredExam], line_class: Comparability | None, data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(exams)))
    assert trajectory([*exams, *again], over, line_of=line_class) == trajectory(exams, over, line_of=line_class)


@given(exams=histories, strangers=st.lists(exams_of_any_class.filter(lambda exam: exam.comparability != CLASS)))
def test_incomparable_exams_of_whatever_day_and_study_never_change_the_line(
    exams: list[ScoredExam], strangers: list[ScoredExam]
) -> None:
    alone, joined = line_of(exams, line_of=CLASS), line_of([*exams, *strangers], line_of=CLASS)
    assert replace(joined, apart=alone.apart) == alone
    assert {exam.comparability for exam in joined.points} <= {CLASS}
    assert {(exam.study_uid, exam.comparability) for exam in strangers} <= {
        (exam.study_uid, exam.comparability) for exam in joined.apart
    }


@given(exams=histories, stranger=exams_of_any_class)
def test_without_a_class_given_an_incomparable_exam_changes_the_line_only_by_being_the_latest(
    exams: list[ScoredExam], stranger: ScoredExam
) -> None:
    alone, joined = line_of(exams), line_of([*exams, stranger])
    if stranger.comparability != alone.latest.comparability:
        assert replace(joined, apart=alone.apart) == alone or joined.latest == stranger


def test_a_class_of_which_she_has_no_exam_has_an_empty_line_and_every_exam_stands_apart() -> None:
    strange = exam(FIRST, 0.03, image_type=ImageType.SYNTHETIC_2D)
    line = line_of([strange], line_of=CLASS)
    assert (line.points, line.apart) == ((), (strange,))
    assert (line.change, line.annual_change, line.change_is_measurable, line.first_over) == (None, None, None, None)


@given(exams=histories)
def test_every_exam_is_in_one_place_and_the_line_has_at_most_seven(exams: list[ScoredExam]) -> None:
    line = line_of(exams, line_of=CLASS)
    assert len(line.exams) == len({(exam.study_uid, exam.comparability) for exam in exams})
    assert line.exams == (*line.apart, *line.same_day, *line.older, *line.points)
    assert len(line.points) <= MOST_PRIORS + 1 == 7
    assert not line.older or len(line.points) == 7
    days = [e.performed_on for e in (*line.older, *line.points)]
    assert days == sorted(set(days))


@given(
    risks=st.lists(st.floats(0, 1), min_size=1, max_size=7), earlier=st.lists(st.floats(0, 1), min_size=1, max_size=5)
)
def test_what_came_before_six_priors_changes_no_figure(risks: list[float], earlier: list[float]) -> None:
    line_of_seven = [exam(after(365 * year), risk) for year, risk in enumerate([0.0] * (7 - len(risks)) + risks)]
    before = [exam(after(-365 * year), risk) for year, risk in enumerate(earlier, start=1)]
    assert line_of(line_of_seven) == replace(line_of([*before, *line_of_seven]), older=())
    assert line_of([*before, *line_of_seven]).older == tuple(before[::-1])


@given(
    first=st.floats(0, 1),
    risks=st.lists(st.floats(0, 1), min_size=2, max_size=4),
    hours=st.lists(st.integers(0, 9), min_size=4, max_size=4),
)
def test_of_several_exams_of_one_day_the_highest_score_counts_whichever_was_scored_last(
    first: float, risks: list[float], hours: list[int]
) -> None:
    of_day = [
        exam(after(365), risk, study=f"1.2.{number}", scored_at=SCORED + timedelta(hours=hours[number]))
        for number, risk in enumerate(risks)
    ]
    alone = exam(FIRST, first, study="1.1")
    line = line_of([*of_day, alone])
    assert risks_of(line.points) == [first, max(risks)]
    assert sorted([*risks_of(line.same_day), max(risks)]) == sorted(risks)
    assert replace(line, same_day=()) == line_of([alone, line.latest])


def test_two_exams_of_one_day_are_no_change() -> None:
    line = line_of([exam(FIRST, 0.025, study="1.2.1"), exam(FIRST, 0.012, study="1.2.2")])
    assert (risks_of(line.points), line.change, line.years) == ([0.025], None, 0.0)


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


@given(days=st.integers(1, 400), rise=st.floats(0.001, 0.5))
@example(days=272, rise=0.02)
@example(days=273, rise=0.02)
@example(days=274, rise=0.02)
def test_exams_less_than_nine_months_apart_give_a_change_but_no_rate(days: int, rise: float) -> None:
    line = line_of([exam(FIRST, 0.01, study="1.2.1"), exam(after(days), 0.01 + rise, study="1.2.2")])
    assert line.change == pytest.approx(rise)
    if days < 273:
        assert (line.annual_change, line.slope_per_year, line.steepest) == (None, None, None)
    else:
        assert line.steepest is not None
        rates = (line.annual_change, line.slope_per_year, line.steepest.annual_change)
        assert rates == pytest.approx((rise * 365.25 / days,) * 3)


def test_the_annual_change_is_last_minus_first_whatever_lies_between() -> None:
    exams = [exam(after(day), risk) for day, risk in ((0, 0.01), (200, 0.5), (1461, 0.05))]
    assert line_of(exams).annual_change == pytest.approx(0.01)


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
    assert line.device_changes == (Interval(second, third),)


def test_a_device_that_an_exam_does_not_name_is_not_called_changed() -> None:
    named, unnamed = AcquisitionDevice("A", "m", "1"), AcquisitionDevice("A", "m")
    line = line_of([exam(FIRST, 0.01, device=named), exam(after(365), 0.02, device=unnamed)])
    assert line.device_changes == ()


def test_eighteen_months_between_two_exams_are_no_gap_and_a_day_more_is_one() -> None:
    late, later = exam(date(2020, 9, 1), 0.02), exam(date(2020, 9, 2), 0.02)
    assert line_of([exam(FIRST, 0.01), late]).gaps == ()
    assert line_of([exam(FIRST, 0.01), later]).gaps == (Interval(exam(FIRST, 0.01), later),)


@given(days=st.sets(st.integers(0, 4000), min_size=2, max_size=7), months=st.integers(1, 60))
def test_gaps_are_the_intervals_longer_than_the_sites_setting(days: set[int], months: int) -> None:
    exams = [exam(after(day), 0.01) for day in sorted(days)]
    far = [n for n in range(1, len(exams)) if exams[n - 1].performed_on < months_before(exams[n].performed_on, months)]
    gaps = line_of(exams, gap_months=months).gaps
    assert gaps == tuple(Interval(exams[n - 1], exams[n]) for n in far)
    assert set(line_of(exams, gap_months=months + 1).gaps) <= set(gaps)


def test_an_unscored_or_incomparable_exam_does_not_close_a_gap() -> None:
    between = exam(after(730), 0.02, image_type=ImageType.SYNTHETIC_2D)
    first, last = exam(FIRST, 0.01), exam(after(1461), 0.02)
    assert line_of([first, between, last], line_of=CLASS).gaps == (Interval(first, last),)


@pytest.mark.parametrize(
    ("latest", "measurable"), [(0.03, True), (0.0299999, False), (0.02, False), (0.01, True), (0.0100001, False)]
)
def test_a_change_below_the_minimum_detectable_one_is_not_measurable_and_one_equal_to_it_is(
    latest: float, measurable: bool
) -> None:
    line = line_of([exam(FIRST, 0.02), exam(after(365), latest)], minimum_detectable_change=0.01)
    assert line.change_is_measurable is measurable
    assert line.minimum_detectable_change == 0.01


@given(first=st.integers(0, 5000), step=st.integers(1, 5000))
def test_at_equality_a_change_is_measurable_whatever_the_floats_make_of_it(first: int, step: int) -> None:
    risks = first / 10_000, (first + step) / 10_000
    line = line_of([exam(FIRST, risks[0]), exam(after(365), risks[1])], minimum_detectable_change=step / 10_000)
    assert line.change_is_measurable is True
    less = line_of([exam(FIRST, risks[0]), exam(after(365), risks[1])], minimum_detectable_change=(step + 1) / 10_000)
    assert less.change_is_measurable is False


def test_where_the_site_has_not_measured_it_nothing_is_said_of_what_is_measurable() -> None:
    assert line_of([exam(FIRST, 0.02), exam(after(365), 0.03)]).change_is_measurable is None
    assert line_of([exam(FIRST, 0.02)], minimum_detectable_change=0.01).change_is_measurable is None


def test_a_rise_below_the_minimum_detectable_change_is_never_the_steepest() -> None:
    exams = [exam(after(day), risk) for day, risk in ((0, 0.01), (730, 0.02), (1095, 0.029))]
    assert line_of(exams).steepest == Interval(exams[1], exams[2])
    assert line_of(exams, minimum_detectable_change=0.0095).steepest == Interval(exams[0], exams[1])
    assert line_of(exams, minimum_detectable_change=0.02).steepest is None
