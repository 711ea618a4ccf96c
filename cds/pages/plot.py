"""One drawing of five-year scores over time: what is comparable is joined, nothing else is, and nothing is guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import cycle

from matplotlib.axes import Axes

from cds.pages.drawing import drawing
from cds.pages.study import DIAGNOSED, UNDIAGNOSED, GroupMedians
from hooks.percentages import percent, threshold_percent
from model.domain import Comparability, Interval, ScoredExam, Trajectory

LEAST_TOP_PERCENT = 8.0
"""The scale reaches at least so far, so that chance does not look like a slope."""
TICK_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200)
"""How many months the days that the axis names may be apart."""
LEAST_ROOM_DAYS = 60
"""Beside the first and the last exam; nothing is drawn there but the minimum detectable change."""


@dataclass(frozen=True)
class Shape:
    """How the points of one class look: the library's marker, and the same as a path in a box of 36 by 14."""

    marker: str
    path: str


OTHER_SHAPES = (
    Shape("s", "M13.5 2.5H22.5V11.5H13.5z"),
    Shape("D", "M18 1L24 7L18 13L12 7z"),
    Shape("^", "M18 2L23.5 12H12.5z"),
    Shape("v", "M18 12L23.5 2H12.5z"),
)
"""One for each class that is not the line's; shapes, because colours alone are not told apart by everybody."""


@dataclass(frozen=True)
class Format:
    """How large a drawing is, in inches at 72 points, how many dates it has room for, and which share its ends take."""

    name: str
    width: float
    height: float
    dates: int
    room: float


WIDE = Format("wide", 9.2, 4.6, 9, 0.07)
NARROW = Format("narrow", 4.6, 4.6, 5, 0.15)


def scores_svg(line: Trajectory, threshold: float, size: Format) -> str:
    """The drawing as SVG to stand in a page; `threshold` is a fraction. The same scores give the same text."""
    return drawing(size.name, size.width, size.height, lambda axes: _draw(axes, line, threshold, size))


def other_classes(line: Trajectory) -> list[tuple[Shape, Comparability, list[ScoredExam]]]:
    """The exams that may not be joined to the line, by their class, each with its shape."""
    found: dict[Comparability, list[ScoredExam]] = {}
    for exam in line.apart:
        found.setdefault(exam.comparability, []).append(exam)
    return [(shape, *one) for shape, one in zip(cycle(OTHER_SHAPES), found.items(), strict=False)]


def _draw(axes: Axes, line: Trajectory, threshold: float, size: Format) -> None:
    exams = line.exams
    _frame(axes, exams, threshold, size)
    for medians in (DIAGNOSED, UNDIAGNOSED):
        _band(axes, medians)
    _threshold(axes, threshold)
    _segments(axes, line)
    _marks(axes, line)
    # The line's own points last, so that no other version's score of the same exam covers them.
    for shape, _, others in other_classes(line):
        _points(axes, others, "other", shape.marker, hollow=True)
    _points(axes, (*line.older, *line.same_day), "older", "o", hollow=True)
    _points(axes, line.points, "line", "o", hollow=False)
    highest = {exam.study_uid: _percent(exam) for exam in sorted(exams, key=_percent)}
    for exam in exams:
        _value(axes, exam, threshold, above=_percent(exam) == highest[exam.study_uid])
    _detectable(axes, line)


def _frame(axes: Axes, exams: Sequence[ScoredExam], threshold: float, size: Format) -> None:
    days, highest = [_day(exam) for exam in exams], max(exam.score.five_year for exam in exams)
    room = max(LEAST_ROOM_DAYS, size.room * (max(days) - min(days)))
    axes.set_xlim(min(days) - room, max(days) + room)
    axes.set_ylim(0, max(LEAST_TOP_PERCENT, 115 * max(threshold, highest)))
    ticks, written = _dates(min(days) - room, max(days), size.dates)
    axes.set_xticks([day.toordinal() for day in ticks], [day.strftime(written) for day in ticks])
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.grid(axis="y", gid="grid", linewidth=0.6, color="#d9dee3")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_gid("axis")
    axes.tick_params(length=0, pad=6)


def _dates(start: float, end: float, most: int) -> tuple[list[date], str]:
    """The days that the axis names, at most so many, and how they are written: years where each begins one."""
    first, last = date.fromordinal(max(1, int(start))), date.fromordinal(min(date.max.toordinal(), int(end)))
    # The first of each month that lies between, as months since the year 0.
    months = range(12 * first.year + first.month, 12 * last.year + last.month)
    step = next((step for step in TICK_MONTHS if len(months) <= step * (most - 1)), TICK_MONTHS[-1])
    days = [date(month // 12, month % 12 + 1, 1) for month in months if month % step == 0]
    return days, "%Y" if step >= 12 else "%Y-%m"


def _band(axes: Axes, medians: GroupMedians) -> None:
    axes.axhspan(medians.lowest, medians.highest, gid=medians.name, color="#e8ecef", linewidth=0, zorder=0.5)


def _threshold(axes: Axes, threshold: float) -> None:
    axes.axhline(100 * threshold, gid="threshold", linestyle=(0, (6, 3)), linewidth=1.4, color="#8a4b00")
    place = (axes.get_xlim()[0], 100 * threshold)
    _words(axes, place, f"threshold {threshold_percent(threshold)}", "note", (4, -3), "left", "top")


def _segments(axes: Axes, line: Trajectory) -> None:
    """Between comparable exams; dotted over a gap, where it is not known how the score moved."""
    gaps = {(gap.earlier.study_uid, gap.later.study_uid) for gap in line.gaps}
    for earlier, later in zip(line.points, line.points[1:], strict=False):
        is_gap = (earlier.study_uid, later.study_uid) in gaps
        style, kind = ((0, (1, 2.5)), "gap") if is_gap else ("solid", "joined")
        days = [_day(earlier), _day(later)]
        scores = [_percent(earlier), _percent(later)]
        axes.plot(days, scores, gid=kind, linestyle=style, linewidth=2.0, color="#1f5f8b", zorder=2)


def _marks(axes: Axes, line: Trajectory) -> None:
    """Where the device or its software changed, and where a round was missed."""
    top = axes.get_ylim()[1]
    for changed in line.device_changes:
        middle = _middle(changed)
        axes.axvline(middle, gid="device-change", linestyle=(0, (2, 2)), linewidth=1.0, color="#5c6770", zorder=1)
        is_late = middle > sum(axes.get_xlim()) / 2
        _words(axes, (middle, top), "device changed", "note", (-4 if is_late else 4, -2), _BESIDE[is_late], "top")
    for gap in line.gaps:
        middle = _middle(gap)
        _words(axes, (middle, top), f"gap of {gap.years:.1f} years", "note", (0, -16), "center", "top")


_BESIDE = {True: "right", False: "left"}
"""Words beside a line towards the middle of the drawing, where there is room."""


def _middle(interval: Interval) -> float:
    return (_day(interval.earlier) + _day(interval.later)) / 2


def _points(axes: Axes, exams: Sequence[ScoredExam], kind: str, shape: str, *, hollow: bool) -> None:
    if not exams:
        return
    days = [_day(exam) for exam in exams]
    axes.plot(
        days,
        [_percent(exam) for exam in exams],
        gid=kind,
        linestyle="none",
        marker=shape,
        markersize=8.0,
        markeredgewidth=1.8,
        markeredgecolor="#1f5f8b",
        markerfacecolor="#ffffff" if hollow else "#1f5f8b",
        zorder=3,
    )


def _value(axes: Axes, exam: ScoredExam, threshold: float, *, above: bool) -> None:
    """Above its point; of an exam that two model versions have scored the lower score below."""
    shown = percent(exam.score.five_year, beside=threshold)
    offset, vertically = ((0, 9), "bottom") if above else ((0, -9), "top")
    _words(axes, (_day(exam), _percent(exam)), shown, "value", offset, "center", vertically)


def _detectable(axes: Axes, line: Trajectory) -> None:
    """How far a score must lie from the latest one to count as another, either way, beside the latest."""
    minimum = line.minimum_detectable_change
    if minimum is None or not line.points:
        return
    latest, end = _day(line.latest), axes.get_xlim()[1]
    beside = latest + 0.7 * (end - latest)
    bars = axes.errorbar(
        beside, _percent(line.latest), yerr=100 * minimum, capsize=5, elinewidth=1.4, ecolor="#5c6770", fmt="none"
    )
    for part in (*bars.lines[1], *bars.lines[2]):
        part.set_gid("detectable")


def _words(
    axes: Axes,
    place: tuple[float, float],
    text: str,
    kind: str,
    offset: tuple[int, int],
    horizontally: str,
    vertically: str,
) -> None:
    axes.annotate(
        text,
        place,
        offset,
        textcoords="offset points",
        ha=horizontally,
        va=vertically,
        gid=kind,
        zorder=4,
        fontsize=9.5,
    )


def _day(exam: ScoredExam) -> int:
    return exam.performed_on.toordinal()


def _percent(exam: ScoredExam) -> float:
    return 100 * exam.score.five_year
