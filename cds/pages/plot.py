"""One drawing of five-year scores over time: what is comparable is joined, nothing else is, and nothing is guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import cycle

from matplotlib.axes import Axes

from cds.pages.drawing import drawing
from cds.pages.lettering import Lettering, Side, Spot
from cds.pages.study import DIAGNOSED, UNDIAGNOSED, GroupMedians
from hooks.percentages import percent, threshold_percent
from model.domain import Comparability, Interval, ScoredExam, Trajectory

LEAST_TOP_PERCENT = 8.0
"""The scale reaches at least so far, so that chance does not look like a slope."""
STEPS_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200)
"""How many months the months or years that the axis names may be apart; from 12 on it names years."""
LEAST_ROOM_DAYS = 60
"""Beside the first and the last exam; nothing is drawn there but the minimum detectable change."""
ABOVE, BELOW, BESIDE = Side(0, 9, "center", "bottom"), Side(0, -9, "center", "top"), Side(9, 0, "left", "center")
"""Where the value of a point may stand."""
ACROSS = 0.075
"""Of the height: so far from the threshold a point is whose value may stand between the two."""
ROWS, ROW = 3, 13.0
"""At the top, for what is said of the time between two exams; a row in points."""


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
    """How large a drawing is, in inches at 72 points, how many months or years it has room to name, and which share
    its ends take."""

    name: str
    width: float
    height: float
    months: int
    years: int
    room: float

    def lettering(self, axes: Axes) -> Lettering:
        """Where words find room in such a drawing."""
        return Lettering(axes, 72 * self.width, 72 * self.height)


WIDE = Format("wide", 9.2, 4.6, 9, 13, 0.07)
NARROW = Format("narrow", 4.6, 4.6, 5, 8, 0.15)


def scores_svg(line: Trajectory, threshold: float, size: Format, unscored: Sequence[date] = ()) -> str:
    """The drawing as SVG to stand in a page; `threshold` is a fraction. The same scores give the same text.

    Days with an exam that has no score are marked at the bottom. Values that find no room are left to the table.
    """
    return drawing(size.name, size.width, size.height, lambda axes: _draw(axes, line, threshold, size, unscored))


def other_classes(line: Trajectory) -> list[tuple[Shape, Comparability, list[ScoredExam]]]:
    """The exams that may not be joined to the line, by their class, each with its shape."""
    found: dict[Comparability, list[ScoredExam]] = {}
    for exam in line.apart:
        found.setdefault(exam.comparability, []).append(exam)
    return [(shape, *one) for shape, one in zip(cycle(OTHER_SHAPES), found.items(), strict=False)]


def _draw(axes: Axes, line: Trajectory, threshold: float, size: Format, unscored: Sequence[date]) -> None:
    _frame(axes, line.exams, threshold, size, unscored)
    for medians in (DIAGNOSED, UNDIAGNOSED):
        _band(axes, medians)
    axes.axhline(100 * threshold, gid="threshold", linestyle=(0, (6, 3)), linewidth=1.4, color="#8a4b00")
    _segments(axes, line)
    _without_score(axes, unscored)
    # The line's own points last, so that no other version's score of the same exam covers them.
    for shape, _, others in other_classes(line):
        _points(axes, others, "other", shape.marker, hollow=True)
    _points(axes, (*line.older, *line.same_day), "older", "o", hollow=True)
    _points(axes, line.points, "line", "o", hollow=False)
    lettering = size.lettering(axes)
    _detectable(axes, line, lettering)
    _words(axes, line, threshold, lettering)


def _frame(axes: Axes, exams: Sequence[ScoredExam], threshold: float, size: Format, unscored: Sequence[date]) -> None:
    days = sorted([*(exam.performed_on for exam in exams), *unscored])
    first, last = days[0].toordinal(), days[-1].toordinal()
    room = max(LEAST_ROOM_DAYS, size.room * (last - first))
    axes.set_xlim(first - room, last + room)
    axes.set_ylim(0, max(LEAST_TOP_PERCENT, 125 * max(threshold, *(exam.score.five_year for exam in exams))))
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.grid(gid="grid", linewidth=0.6, color="#d9dee3")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_gid("axis")
    axes.tick_params(length=0, pad=6)
    axes.tick_params(axis="x", length=4, color="#5c6770")
    _name_days(axes, days[0], days[-1], size)


def _name_days(axes: Axes, first: date, last: date, size: Format) -> None:
    """Each name in the middle of what is seen of its month or year, which has a tick at either end."""
    spans, written = _spans(first, last, size)
    left, right = axes.get_xlim()
    axes.set_xticks(sorted({end for span in spans for end in span if left <= end <= right}), labels=())
    middles = [(max(left, begin) + min(right, end)) / 2 for begin, end in spans]
    names = [date.fromordinal(begin).strftime(written) for begin, _ in spans]
    axes.set_xticks(middles, names, minor=True)
    axes.tick_params(axis="x", which="minor", length=0, pad=6)


def _spans(first: date, last: date, size: Format) -> tuple[list[tuple[int, int]], str]:
    """The months or years that the axis names, back from that of the last exam, and how they are written."""
    for step in STEPS_MONTHS:
        length, most = (12, size.years) if step >= 12 else (1, size.months)
        oldest, newest = ((12 * day.year + day.month - 1) // length for day in (first, last))
        named = range(newest, oldest - 1, -(step // length))
        if len(named) <= most:
            break
    spans = [(_begin(length * one), _begin(length * (one + 1))) for one in reversed(named)]
    return spans, "%Y" if length == 12 else "%Y-%m"


def _begin(months: int) -> int:
    """The first day of a month, which is counted from the year 0; of what calendars do not reach the last day."""
    year, month = divmod(months, 12)
    return (date(year, month + 1, 1) if year <= date.max.year else date.max).toordinal()


def _band(axes: Axes, medians: GroupMedians) -> None:
    axes.axhspan(medians.lowest, medians.highest, gid=medians.name, color="#e8ecef", linewidth=0, zorder=0.5)


def _segments(axes: Axes, line: Trajectory) -> None:
    """Between comparable exams; dotted over a gap, where it is not known how the score moved."""
    gaps = {(gap.earlier.study_uid, gap.later.study_uid) for gap in line.gaps}
    for earlier, later in zip(line.points, line.points[1:], strict=False):
        is_gap = (earlier.study_uid, later.study_uid) in gaps
        style, kind = ((0, (1, 2.5)), "gap") if is_gap else ("solid", "joined")
        days = [_day(earlier), _day(later)]
        scores = [_percent(earlier), _percent(later)]
        axes.plot(days, scores, gid=kind, linestyle=style, linewidth=2.0, color="#1f5f8b", zorder=2)


def _without_score(axes: Axes, days: Sequence[date]) -> None:
    if days:
        axes.plot(
            [day.toordinal() for day in days],
            [0.025] * len(days),
            transform=axes.get_xaxis_transform(),
            gid="unscored",
            linestyle="none",
            marker="x",
            markersize=7.0,
            markeredgewidth=1.6,
            markeredgecolor="#5c6770",
        )


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


def _detectable(axes: Axes, line: Trajectory, lettering: Lettering) -> None:
    """How far a score must lie from the latest one to count as another, either way, beside the latest."""
    minimum = line.minimum_detectable_change
    if minimum is None or not line.points:
        return
    latest, end, score = _day(line.latest), axes.get_xlim()[1], _percent(line.latest)
    beside = latest + 0.7 * (end - latest)
    bars = axes.errorbar(beside, score, yerr=100 * minimum, capsize=5, elinewidth=1.4, ecolor="#5c6770", fmt="none")
    for part in (*bars.lines[1], *bars.lines[2]):
        part.set_gid("detectable")
    lettering.keep((beside, score - 100 * minimum), (beside, score + 100 * minimum))


def _words(axes: Axes, line: Trajectory, threshold: float, lettering: Lettering) -> None:
    """The values that matter most first, then what the lines are, then the other values; each where there is room."""
    exams = sorted(line.exams, key=_day)
    lettering.keep(*((day, 100 * threshold) for day in axes.get_xlim()), right=0, up=1)
    for exam in exams:
        lettering.keep(_place(exam))
    newest = line.latest if line.points else exams[-1]
    first = dict.fromkeys((newest, max(exams, key=_percent), exams[0]))
    for exam in first:
        _value(axes, exam, threshold, lettering, is_newest=exam == newest)
    _between(axes, line, lettering)
    _name_threshold(axes, threshold, lettering)
    for exam in reversed(exams):
        if exam not in first:
            _value(axes, exam, threshold, lettering)


def _value(axes: Axes, exam: ScoredExam, threshold: float, lettering: Lettering, *, is_newest: bool = False) -> None:
    """On the side of the threshold where its point is; the newest one is always written, the table has them all."""
    shown = percent(exam.score.five_year, beside=threshold)
    over = _percent(exam) - 100 * threshold
    sides = [ABOVE if over >= 0 else BELOW]
    if abs(over) > ACROSS * axes.get_ylim()[1]:
        sides.append(BELOW if over >= 0 else ABOVE)
    sides += [BESIDE] if is_newest else []
    lettering.write(shown, "value", [(_place(exam), side) for side in sides], always=is_newest)


def _between(axes: Axes, line: Trajectory, lettering: Lettering) -> None:
    """Where the device or its software changed, and where a round was missed."""
    top = axes.get_ylim()[1]
    for changed in line.device_changes:
        axes.axvline(
            _middle(changed), gid="device-change", linestyle=(0, (2, 2)), linewidth=1.0, color="#5c6770", zorder=1
        )
        lettering.keep((_middle(changed), top), right=1, up=ROW * ROWS)
    for changed in line.device_changes:
        lettering.write("device changed", "note", _at_top(_middle(changed), top, "left", "right"))
    for gap in line.gaps:
        spots = _at_top(_middle(gap), top, "center", "left", "right")
        lettering.write(f"gap of {gap.years:.1f} years", "note", spots)


def _at_top(day: float, top: float, *across: str) -> list[Spot]:
    rows = range(ROWS)
    return [((day, top), Side(_ASIDE[edge], -2 - ROW * row, edge, "top")) for row in rows for edge in across]


_ASIDE = {"left": 4, "center": 0, "right": -4}
"""How far from a line words stand of which that edge is beside it."""


def _name_threshold(axes: Axes, threshold: float, lettering: Lettering) -> None:
    ends = list(zip(axes.get_xlim(), ("left", "right"), strict=True))
    sides = ((-3, "top"), (3, "bottom"))
    spots = [((day, 100 * threshold), Side(_ASIDE[edge], up, edge, to)) for up, to in sides for day, edge in ends]
    lettering.write(f"threshold {threshold_percent(threshold)}", "note", spots)


def _day(exam: ScoredExam) -> int:
    return exam.performed_on.toordinal()


def _percent(exam: ScoredExam) -> float:
    return 100 * exam.score.five_year


def _place(exam: ScoredExam) -> tuple[float, float]:
    return _day(exam), _percent(exam)
