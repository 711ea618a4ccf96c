"""The drawing: what is joined, what is marked, and what is never drawn."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from itertools import combinations, pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.pages.inline_svg import SVG
from cds.pages.plot import NARROW, WIDE, Format, scores_svg
from hooks.percentages import percent
from model.domain import AcquisitionDevice, ImageType, ScoredExam, Trajectory
from tests.hooks.builders import RISING, history_of, scored

THRESHOLD = 0.017
SYNTHETIC = scored(0.03, date(2024, 1, 3), image_type=ImageType.SYNTHETIC_2D)
OF_ANOTHER_DEVICE = AcquisitionDevice("HOLOGIC", "Selenia", "2.0")


def drawn(line: Trajectory, size: Format = WIDE) -> ET.Element:
    return ET.fromstring(scores_svg(line, THRESHOLD, size))  # noqa: S314 # our own drawing


def groups(drawing: ET.Element, kind: str) -> list[ET.Element]:
    return [group for group in drawing.iter(f"{{{SVG}}}g") if group.get("class") == kind]


def places(drawing: ET.Element, kind: str) -> list[float]:
    """Where the points of a kind stand, from left to right."""
    return sorted(float(use.get("x", "nan")) for group in groups(drawing, kind) for use in group.iter(f"{{{SVG}}}use"))


def spans(drawing: ET.Element, kind: str) -> list[tuple[float, float]]:
    """From where to where the lines of a kind go."""
    paths = [path.get("d", "") for group in groups(drawing, kind) for path in group.iter(f"{{{SVG}}}path")]
    ends = [[float(x) for x in re.findall(r"[ML] ([\d.]+)", path)] for path in paths]
    return [(found[0], found[-1]) for found in ends]


def flat(pairs: Iterable[tuple[float, float]]) -> list[float]:
    return [end for pair in pairs for end in pair]


def words(drawing: ET.Element) -> list[str]:
    return [text.text or "" for text in drawing.iter(f"{{{SVG}}}text")]


def test_comparable_exams_are_joined_one_to_the_next_and_others_to_nothing() -> None:
    drawing = drawn(history_of(RISING, SYNTHETIC))

    points = places(drawing, "line")
    assert len(points) == len(RISING)
    assert flat(spans(drawing, "joined")) == pytest.approx(flat(pairwise(points)))
    (apart,) = places(drawing, "other")
    assert not [end for span in spans(drawing, "joined") for end in span if end == pytest.approx(apart)]


def test_two_classes_that_are_apart_have_shapes_of_their_own() -> None:
    other = scored(0.02, date(2023, 1, 3), image_type=ImageType.SYNTHETIC_2D, study_uid="1.2.7")
    older = history_of(RISING, SYNTHETIC, other)
    assert len(groups(drawn(older), "other")) == 1

    renamed = Trajectory(older.points, apart=(SYNTHETIC, another_models()))
    assert len(groups(drawn(renamed), "other")) == 2


def another_models(exam: ScoredExam | None = None) -> ScoredExam:
    exam = exam or scored(0.02, date(2023, 1, 3), study_uid="1.2.7")
    return replace(exam, score=replace(exam.score, model=replace(exam.score.model, name="Another")))


def test_an_exam_that_two_models_scored_has_a_point_of_each_on_its_day_and_neither_value_hides_the_other() -> None:
    higher, lower = scored(0.030, date(2026, 5, 3)), scored(0.026, date(2026, 5, 3))
    for mine, others in ((higher, lower), (lower, higher)):
        line = history_of({2025: 0.02}, mine, another_models(others))
        drawing = drawn(line)

        (other,) = places(drawing, "other")
        assert other == pytest.approx(places(drawing, "line")[-1])
        assert len(spans(drawing, "joined")) == 1
        values = {text.text: float(text.get("y", "nan")) for value in groups(drawing, "value") for text in value}
        assert values["3.0 %"] + 18 < values["2.6 %"]


def test_a_gap_is_dotted_and_named_and_not_joined() -> None:
    drawing = drawn(history_of({2020: 0.02, 2021: 0.02, 2024: 0.03}))

    points = places(drawing, "line")
    assert flat(spans(drawing, "gap")) == pytest.approx(points[1:])
    assert flat(spans(drawing, "joined")) == pytest.approx(points[:2])
    assert "gap of 3.0 years" in words(drawing)


def test_a_change_of_device_is_marked_between_its_two_exams() -> None:
    changed = scored(0.03, date(2026, 11, 3), device=OF_ANOTHER_DEVICE)
    drawing = drawn(history_of(RISING, changed))

    ((mark, _),) = spans(drawing, "device-change")
    *_, before, after = places(drawing, "line")
    assert before < mark < after
    assert "device changed" in words(drawing)
    assert not groups(drawn(history_of(RISING)), "device-change")


def test_nothing_of_the_scores_is_drawn_before_the_first_or_after_the_last_exam() -> None:
    drawing = drawn(history_of(RISING, SYNTHETIC))

    points = places(drawing, "line")
    ends = [end for kind in ("joined", "gap") for span in spans(drawing, kind) for end in span]
    assert (min(ends), max(ends)) == pytest.approx((points[0], points[-1]))


def test_the_minimum_detectable_change_is_drawn_where_the_site_has_measured_it() -> None:
    assert groups(drawn(history_of(RISING, minimum_detectable_change=0.005)), "detectable")
    assert not groups(drawn(history_of(RISING)), "detectable")


def test_every_score_stands_at_its_point_and_the_threshold_at_its_line() -> None:
    said = words(drawn(history_of({2025: 0.017001, 2026: 0.066})))

    assert {"1.7001 %", "6.6 %", "threshold 1.7 %"} <= set(said)


def test_chance_does_not_look_like_a_slope() -> None:
    drawing = drawn(history_of({2025: 0.011, 2026: 0.013}))

    assert "8 %" in words(drawing)


def test_a_single_exam_is_a_point_without_a_line() -> None:
    drawing = drawn(history_of({2026: 0.02}))

    assert len(places(drawing, "line")) == 1
    assert spans(drawing, "joined") == []


@pytest.mark.parametrize("day", [date.min, date(1900, 1, 1), date.max])
def test_a_date_that_can_hardly_be_true_is_drawn_all_the_same(day: date) -> None:
    assert len(places(drawn(history_of({2026: 0.02}, scored(0.03, day))), "line")) == 2


@pytest.mark.parametrize(
    ("first", "last", "named"),
    [
        (date(2026, 5, 3), date(2026, 5, 3), ["2026-05"]),
        (date(2025, 11, 10), date(2025, 12, 30), ["2025-11", "2025-12"]),
        (date(2020, 11, 4), date(2026, 11, 4), ["2020", "2021", "2022", "2023", "2024", "2025", "2026"]),
        (date(1990, 11, 4), date(2026, 1, 1), ["1991", "1996", "2001", "2006", "2011", "2016", "2021", "2026"]),
    ],
)
def test_the_axis_names_as_many_dates_as_it_has_room_for_back_from_that_of_the_last_exam(
    first: date, last: date, named: list[str]
) -> None:
    said = words(drawn(Trajectory((scored(0.02, first), scored(0.03, last)))))

    assert [text for text in said if re.fullmatch(r"\d{4}(-\d\d)?", text)] == named


def ticks(drawing: ET.Element) -> list[float]:
    """Where the axis of the dates has ticks."""
    return [float(use.get("x", "nan")) for group in groups(drawing, "xtick") for use in group.iter(f"{{{SVG}}}use")]


def texts(drawing: ET.Element, kind: str = "") -> list[tuple[str, tuple[float, float]]]:
    """The words of a kind, or all, each with the place of its middle, from left to right."""
    within = groups(drawing, kind) if kind else [drawing]
    found = [text for group in within for text in group.iter(f"{{{SVG}}}text")]
    return sorted(((text.text or "", _middle(text)) for text in found), key=lambda one: one[1])


def _middle(text: ET.Element) -> tuple[float, float]:
    to_middle = {"start": 2.6, "middle": 0.0, "end": -2.6}[text.get("text-anchor", "start")] * len(text.text or "")
    return float(text.get("x", "nan")) + to_middle, float(text.get("y", "nan"))


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize(("month", "day"), [(1, 2), (6, 30), (11, 20), (12, 31)])
def test_every_exam_stands_between_the_ticks_at_either_end_of_the_name_of_its_year(
    size: Format, month: int, day: int
) -> None:
    days = [date(year, month, day) for year in (2020, 2022, 2023, 2025, 2026)]
    drawing = drawn(Trajectory(tuple(scored(0.02, one) for one in days)), size)

    ends = [-1.0, *ticks(drawing), 1000.0]
    for one, point in zip(days, places(drawing, "line"), strict=True):
        ((named, _),) = [place for text, place in texts(drawing) if text == str(one.year)]
        ((left, right),) = [(left, right) for left, right in pairwise(ends) if left <= point < right]
        assert left < named < right


def test_an_exam_without_a_score_has_a_mark_on_its_day_and_the_axis_reaches_it() -> None:
    without = date(2027, 11, 3)
    svg = scores_svg(history_of(RISING), THRESHOLD, WIDE, (without,))
    drawing = ET.fromstring(svg)  # noqa: S314 # our own drawing

    (mark,) = places(drawing, "unscored")
    assert mark > places(drawing, "line")[-1]
    assert "2027" in words(drawing)
    assert not groups(drawn(history_of(RISING)), "unscored")


def test_a_value_stands_on_the_side_of_the_threshold_where_its_point_is() -> None:
    drawing = drawn(history_of({2023: 0.015, 2024: 0.0171, 2025: 0.0169, 2026: 0.021}))

    (threshold,) = groups(drawing, "threshold")
    line = float(re.findall(r"M [\d.]+ ([\d.]+)", ET.tostring(threshold, encoding="unicode"))[0])
    for shown, (_, height) in texts(drawing, "value"):
        is_over = float(shown.removesuffix(" %")) > 100 * THRESHOLD
        assert (height < line) is is_over, shown
    assert len(texts(drawing, "value")) == 4


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("rate", [0.0, 0.0007, 0.004])
def test_of_many_values_those_are_written_that_have_room_the_newest_the_highest_and_the_first_before_others(
    size: Format, rate: float
) -> None:
    exams = [scored(0.012 + rate * number, date(2012 + number, 11, 20)) for number in range(14)]
    drawing = drawn(Trajectory(tuple(exams)), size)

    written = texts(drawing, "value")
    ends = {percent(exam.score.five_year, beside=THRESHOLD) for exam in (exams[0], exams[-1])}
    assert {text for text, _ in written} >= ends
    for (text, (left, height)), (_, (right, other)) in combinations(written, 2):
        assert right - left > 5 * len(text) or abs(height - other) > 10


def test_two_gaps_beside_each_other_are_named_without_hiding_each_other() -> None:
    drawing = drawn(history_of({2016: 0.02, 2018: 0.021, 2022: 0.021, 2023: 0.023, 2025: 0.046, 2026: 0.066}), NARROW)

    named = [place for text, place in texts(drawing, "note") if text.startswith("gap")]
    assert len(named) == 3
    for (left, height), (right, other) in combinations(named, 2):
        assert right - left > 80 or abs(height - other) > 10


def test_the_threshold_is_named_where_no_point_is() -> None:
    for line in ({2020: 0.0155, 2026: 0.05}, {2020: 0.0155, 2026: 0.0155}, {2020: 0.05, 2026: 0.0155}):
        drawing = drawn(history_of(line), NARROW)
        ((x, y),) = [place for text, place in texts(drawing, "note") if text.startswith("threshold")]
        for group in groups(drawing, "line"):
            for point in group.iter(f"{{{SVG}}}use"):
                beside, under = abs(float(point.get("x", "nan")) - x), float(point.get("y", "nan")) - y
                assert beside > 40 or not -12 < under < 6


def test_scores_of_other_classes_alone_are_drawn_without_a_line() -> None:
    drawing = drawn(Trajectory((), apart=(SYNTHETIC,)))

    assert len(places(drawing, "other")) == 1
    assert not groups(drawing, "joined")


def test_the_group_medians_lie_across_the_whole_drawing_and_are_of_no_exam() -> None:
    drawing = drawn(history_of(RISING))

    for kind in ("undiagnosed", "diagnosed"):
        ((left, right),) = [(min(span), max(span)) for span in _widths(drawing, kind)]
        assert left < places(drawing, "line")[0] < places(drawing, "line")[-1] < right


def _widths(drawing: ET.Element, kind: str) -> list[list[float]]:
    paths = [path.get("d", "") for group in groups(drawing, kind) for path in group.iter(f"{{{SVG}}}path")]
    return [[float(x) for x in re.findall(r"[ML] ([\d.]+)", path)] for path in paths]


def test_the_same_scores_give_the_same_text() -> None:
    assert scores_svg(history_of(RISING), THRESHOLD, WIDE) == scores_svg(history_of(RISING), THRESHOLD, WIDE)


def test_a_strict_policy_has_nothing_to_forbid_in_it() -> None:
    text = scores_svg(history_of(RISING, SYNTHETIC), THRESHOLD, WIDE)

    assert "style" not in text
    assert "script" not in text
    assert set(re.findall(r'href="([^"]*)"', text)) <= {f"#{name}" for name in re.findall(r'id="([^"]*)"', text)}


def test_a_page_may_hold_both_drawings_because_no_name_stands_in_both() -> None:
    line = history_of(RISING, SYNTHETIC, minimum_detectable_change=0.005)
    wide, narrow = (set(re.findall(r'id="([^"]*)"', scores_svg(line, THRESHOLD, size))) for size in (WIDE, NARROW))

    assert wide
    assert narrow
    assert not wide & narrow


@settings(max_examples=10, deadline=None)
@given(
    st.dictionaries(st.integers(0, 4000), st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=9),
    st.sampled_from([WIDE, NARROW]),
)
def test_whatever_the_history_only_its_neighbours_are_joined(
    exams: dict[int, tuple[float, bool]], size: Format
) -> None:
    made = [
        scored(risk, date(2015, 1, 1) + timedelta(days=day), image_type=list(ImageType)[apart])
        for day, (risk, apart) in exams.items()
    ]
    line = history_of({2014: 0.02}, *made)

    drawing = drawn(line, size)

    points = places(drawing, "line")
    assert len(points) == len(line.points)
    joined = sorted([*spans(drawing, "joined"), *spans(drawing, "gap")])
    assert flat(joined) == pytest.approx(flat(pairwise(points)), abs=0.01)
    assert len(places(drawing, "older")) == len(line.older) + len(line.same_day)


@pytest.mark.parametrize("threshold", [0.017, 0.1, 0.5])
def test_the_threshold_is_drawn_however_far_above_the_scores(threshold: float) -> None:
    drawing = ET.fromstring(scores_svg(history_of(RISING), threshold, WIDE))  # noqa: S314 # our own drawing

    assert f"threshold {100 * threshold:.1f} %" in words(drawing)
