"""Which threshold a site's places for breast MRI allow, exactly, by the scores that it has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from cds.pages.drawing import drawing
from cds.study.flagging import Screened, crossing, is_old_enough
from hooks.case import Comparator, MriPolicy

Numbers = npt.NDArray[np.float64]
STEP = Decimal("0.01")
"""Thresholds are told in per cent with two decimals: enough for a setting, and no woman's own score."""
LEAST_PERCENT = Decimal("0.1")
"""The least that the settings allow."""
MOST_POINTS = 200


@dataclass(frozen=True)
class Fitting:
    """The lowest threshold, in per cent, at which no more women are flagged than there are places in the period.

    It flags `women` and not the `others`. `tied` women have the score at the edge: they are all flagged or none is, so
    that places may stay free.
    """

    percent: float
    women: int
    others: int
    places: int
    tied: int

    @property
    def is_needed(self) -> bool:
        """Whether there are fewer places than women."""
        return self.women + self.others > self.places

    @property
    def is_threshold(self) -> bool:
        """Whether a rule may have it: more women than places may have 100 %."""
        return self.percent < 100

    def may_be_told(self, fewest: int) -> bool:
        """Not where a few are over or under it: it is the next one's score, and by a few places each one's in turn."""
        return self.places >= fewest and not any(0 < side < fewest for side in (self.women, self.others))

    @property
    def threshold(self) -> float:
        """The same as a fraction: 2.37 is 0.0237, not 0.023700000000000002."""
        return float(Decimal(repr(self.percent)) / 100)


def highest_scores(screened: Screened, policy: MriPolicy) -> pd.Series:
    """The highest score of each woman in the period, of the exams at which she was old enough for the rule."""
    exams = screened.cohort.exams[is_old_enough(screened.cohort.exams, policy)]
    return exams.groupby("patient")["score"].max().sort_values(ascending=False)


def fitting_threshold(highest: pd.Series, places: int, comparator: Comparator) -> Fitting:
    """The threshold for so many places, by the scores of the women, highest first."""
    if len(highest) <= places:
        return _fitting(highest, LEAST_PERCENT, places, comparator, tied=0)
    edge = float(highest.iloc[places])
    percent = max(LEAST_PERCENT, (Decimal(repr(edge)) * 100).quantize(STEP, ROUND_FLOOR))
    while _crossing(highest, percent, comparator) > places:
        percent += STEP
    return _fitting(highest, percent, places, comparator, tied=int((highest == edge).sum()))


def _fitting(highest: pd.Series, percent: Decimal, places: int, comparator: Comparator, tied: int) -> Fitting:
    women = _crossing(highest, percent, comparator)
    return Fitting(float(percent), women, len(highest) - women, places, tied)


def _crossing(highest: pd.Series, percent: Decimal, comparator: Comparator) -> int:
    return int(crossing(highest, float(percent / 100), comparator).sum())


def load_svg(highest: pd.Series, weeks: float, capacity_a_week: float, threshold: float, fewest: int) -> str:
    """MRI a week by threshold, from every few scores, so rounded that no point of the line is one woman's.

    Nor are a few, or nobody, under its last point: it would be the lowest score of all.
    """
    every = max(fewest, math.ceil(len(highest) / MOST_POINTS))
    flagged = np.arange(every, len(highest) - fewest + 1, every)
    percents = (100 * highest.to_numpy()[flagged - 1]).round(2)  # by STEP
    draw = partial(
        _draw, percents=percents, a_week=flagged / weeks, capacity=capacity_a_week, threshold=100 * threshold
    )
    return drawing("impact", 7.0, 3.2, draw)


def _draw(axes: Axes, percents: Numbers, a_week: Numbers, capacity: float, threshold: float) -> None:
    axes.plot(percents, a_week, gid="load", linewidth=1.8, color="#1f5f8b")
    axes.axhline(capacity, gid="capacity", linewidth=1.2, linestyle="--", color="#8a5a00", label="capacity")
    axes.axvline(threshold, gid="threshold", linewidth=1.2, linestyle=":", color="#5c6770", label="threshold")
    axes.set_xlabel("threshold (five-year score)")
    axes.set_ylabel("women flagged a week")
    axes.xaxis.set_major_formatter("{x:g} %")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
