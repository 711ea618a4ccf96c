"""The scores of one mammography unit, month by month: the median as a line, the quartiles as a band."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Self

from matplotlib.axes import Axes

from cds.pages.drawing import drawing
from cds.store.score_spread import ScoreSpread

WIDTH, HEIGHT = 4.6, 2.4
SIDES = 0.08
"""Of the width is left beside the first and the last month, for half of what they are called."""
LEAST_TOP_PERCENT = 4.0
"""The scale reaches at least so far, so that chance does not look like drift."""


@dataclass(frozen=True)
class Scale:
    """The months and the percentages that every drawing of a page shows, so that units can be compared."""

    months: tuple[str, ...]
    top_percent: float

    @classmethod
    def of(cls, spread: Iterable[ScoreSpread]) -> Self:
        """The scale on which all of these have a place."""
        told = list(spread)
        highest = max((one.upper for one in told if one.upper is not None), default=0.0)
        return cls(_every_month({one.month for one in told}), max(LEAST_TOP_PERCENT, 115 * highest))


def drift_svg(number: int, scale: Scale, of_unit: Iterable[ScoreSpread]) -> str:
    """The drawing of the unit with this number. A month with too few exams, or none, is a gap."""
    known = {one.month: one for one in of_unit}
    lower, median, upper = (
        [_percent(known.get(month), part) for month in scale.months] for part in ("lower", "median", "upper")
    )
    return drawing(f"drift {number}", WIDTH, HEIGHT, partial(_draw, scale=scale, series=(lower, median, upper)))


def _every_month(known: set[str]) -> tuple[str, ...]:
    """From the first to the last, also those without an exam: the drawing is to scale in time."""
    if not known:
        return ()
    first, last = (12 * int(month[:4]) + int(month[5:]) - 1 for month in (min(known), max(known)))
    return tuple(f"{months // 12:04}-{months % 12 + 1:02}" for months in range(first, last + 1))


def _percent(one: ScoreSpread | None, part: str) -> float:
    value = getattr(one, part) if one else None
    return math.nan if value is None else 100 * value


def _draw(axes: Axes, scale: Scale, series: tuple[list[float], list[float], list[float]]) -> None:
    lower, median, upper = series
    months, places = list(scale.months), range(len(scale.months))
    axes.fill_between(places, lower, upper, gid="quartiles", color="#c5d5e2", linewidth=0)
    axes.plot(places, median, gid="median", marker="o", markersize=4.0, linewidth=1.8, color="#1f5f8b")
    axes.set_ylim(0, scale.top_percent)
    beside = max(0.5, SIDES * len(months))
    axes.set_xlim(-beside, len(months) - 1 + beside)
    every = max(1, math.ceil(len(months) / 5))
    axes.set_xticks(list(places)[::every], months[::every])
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.grid(axis="y", gid="grid", linewidth=0.6, color="#d9dee3")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, pad=5)
    axes.tick_params(axis="x", length=4, color="#5c6770")
