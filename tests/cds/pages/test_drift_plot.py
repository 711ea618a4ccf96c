"""The scores of a unit as a drawing."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from cds.pages.drift_plot import LEAST_TOP_PERCENT, Scale, drift_svg
from cds.store.score_spread import ScoreSpread

SVG = "{http://www.w3.org/2000/svg}"


def month(number: int, median: float | None = 0.02, device: str = "A") -> ScoreSpread:
    """A unit's scores of a month of 2026."""
    lower, upper = (None, None) if median is None else (median / 2, median * 2)
    return ScoreSpread(device, f"2026-{number:02}", 20, median, lower, median, upper)


def median_line(drawing: str) -> list[list[str]]:
    """The pieces of the line, each by its points."""
    (group,) = [one for one in ET.fromstring(drawing).iter(f"{SVG}g") if one.get("class") == "median"]  # noqa: S314 # our own
    path = group.find(f"{SVG}path")
    assert path is not None
    pieces = path.get("d", "").split("M")[1:]
    return [[point.strip() for point in piece.split("L")] for piece in pieces]


def part(drawing: ET.Element, name: str) -> ET.Element:
    return next(one for one in drawing.iter(f"{SVG}g") if one.get("class") == name)


def grid_line(drawing: ET.Element) -> str:
    """The first of the lines that lie across the whole drawing."""
    path = part(drawing, "grid").find(f"{SVG}path")
    assert path is not None
    return path.get("d", "")


def test_every_month_of_the_scale_has_a_place_and_one_without_scores_is_a_gap() -> None:
    scale = Scale.of([month(1), month(2, device="B"), month(3), month(4), month(5)])

    (whole,) = median_line(drift_svg(0, scale, [month(number) for number in range(1, 6)]))
    first, second = median_line(drift_svg(0, scale, [month(1), month(2), month(3, None), month(4), month(5)]))

    assert len(whole) == 5
    assert (len(first), len(second)) == (2, 2)
    assert [*first, *second] == [*whole[:2], *whole[3:]]


def test_months_without_any_exam_have_their_place_so_that_time_is_to_scale() -> None:
    assert Scale.of([month(1), month(4)]).months == ("2026-01", "2026-02", "2026-03", "2026-04")

    spread = [replace(month(1), month=one) for one in ("2024-11", "2024-12", "2026-01", "2026-02")]
    (first, second) = median_line(drift_svg(0, Scale.of(spread), spread))
    places = [float(point.split()[0]) for point in (*first, *second)]
    assert places[2] - places[0] == pytest.approx(14 * (places[1] - places[0]))


@pytest.mark.parametrize("count", [1, 12, 120])
def test_no_marker_is_cut_at_an_end_and_the_first_month_is_not_called_below_the_zero(count: int) -> None:
    spread = [replace(month(1), month=f"{2015 + one // 12}-{one % 12 + 1:02}") for one in range(count)]
    drawing = ET.fromstring(drift_svg(0, Scale.of(spread), spread))  # noqa: S314 # our own

    axis = [float(x) for x in re.findall(r"[ML] ([\d.]+)", grid_line(drawing))]
    places = [float(use.get("x", "nan")) for use in part(drawing, "median").iter(f"{SVG}use")]
    assert min(axis) + 20 < places[0]
    assert places[-1] + 4 < max(axis)


def test_a_higher_median_is_drawn_higher() -> None:
    spread = [month(1, 0.01), month(2, 0.02), month(3, 0.03)]

    (line,) = median_line(drift_svg(0, Scale.of(spread), spread))
    heights = [float(point.split()[1]) for point in line]

    assert all(later < earlier for earlier, later in pairwise(heights))


def test_all_drawings_have_one_scale_with_room_for_the_highest_and_never_a_tiny_one() -> None:
    assert Scale.of([month(1, 0.01)]).top_percent == LEAST_TOP_PERCENT
    assert Scale.of([month(1, 0.01), month(1, 0.03, "B")]).top_percent > 6
    assert Scale.of([month(2, None), month(1, None)]) == Scale(("2026-01", "2026-02"), LEAST_TOP_PERCENT)


def test_the_same_scores_give_the_same_text_without_a_style_that_the_policy_forbids() -> None:
    scale = Scale.of([month(1), month(2)])
    drawing = drift_svg(0, scale, [month(1), month(2)])

    assert drawing == drift_svg(0, scale, [month(1), month(2)])
    assert "style=" not in drawing
    assert "<style" not in drawing
