"""Exams of one woman that lie so close together that nothing should have changed, and how far their scores differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import bootstrap, spearmanr

from cds.errors import StudyNotPossible

BETWEEN: Final = "between two units"
NOT_KNOWN: Final = "not known"
LEAST_PAIRS: Final = 30
"""With 30 pairs of a normal distribution the interval of the standard deviation reaches from 0.80 to 1.34 of it."""
LEAST_REPEATED: Final = 10
"""Pairs of one woman are alike: the interval is over women, and of fewer it says nothing."""
RESAMPLES: Final = 2000
MOST_OF_ONE: Final = 0.1
"""Of the pairs, by one woman: what each of the ten has where they have equally many."""
MOST_FOR_CORRECTION: Final = 2000
"""Of more women the bootstrap's correction (BCa) changes nothing that is shown, and takes minutes."""
DETECTABLE: Final = 1.96 * np.sqrt(2.0)
"""Minimum detectable change over within-person standard deviation: 95 % of the differences of two scores that differ
by chance alone are smaller (Bland and Altman 1996, doi 10.1136/bmj.313.7059.744, there called the repeatability)."""
_GROWS_AT = 0.05
_SAME = 1e-12


@dataclass(frozen=True)
class Spread:
    """The within-person standard deviation of so many pairs of scores, with its 95 % interval, in their unit."""

    pairs: int
    women: int
    sd: float
    low: float
    high: float

    @property
    def detectable(self) -> tuple[float, float, float]:
        """The minimum detectable change, and its interval."""
        value, low, high = (float(DETECTABLE * one) for one in (self.sd, self.low, self.high))
        return value, low, high


def pairs_within(exams: pd.DataFrame, days: int) -> pd.DataFrame:
    """Each two exams of one woman that follow each other within so many days; no exam is in two pairs.

    `exams` as a cohort has them. Gives patient, days, first and second (scores in per cent), and device: that of both,
    BETWEEN where they differ.
    """
    patient = exams["patient"]
    apart = exams["exam_date"].diff().dt.days
    is_close = (patient == patient.shift()) & (apart <= days)
    place = is_close.groupby((~is_close).cumsum()).cumcount()
    is_second = place % 2 == 1
    device = exams["device"].astype(object).where(exams["device"].notna(), NOT_KNOWN)
    every = pd.DataFrame(
        {
            "patient": patient,
            "days": apart,
            "first": 100 * exams["score"].shift(),
            "second": 100 * exams["score"],
            "device": device.where(device == device.shift(), BETWEEN),
        }
    )
    repeats: pd.DataFrame = every[is_second].reset_index(drop=True)
    return repeats


def on_one_unit(pairs: pd.DataFrame) -> pd.DataFrame:
    """Those of one unit; all of them where no unit is known, as then none can be told from one between two."""
    is_known = ~pairs["device"].isin((BETWEEN, NOT_KNOWN))
    return pairs[is_known] if (pairs["device"] != NOT_KNOWN).any() else pairs


def are_enough(pairs: pd.DataFrame, fewest: int) -> bool:
    """Whether the spread of these pairs can be measured, and told."""
    return len(pairs) >= max(LEAST_PAIRS, fewest) and pairs["patient"].nunique() >= max(LEAST_REPEATED, fewest)


def is_mostly_one_woman(pairs: pd.DataFrame) -> bool:
    """Whether one of the women, or a phantom that is named like one, has so many pairs that they tell of her."""
    return bool(pairs["patient"].value_counts().max() > MOST_OF_ONE * len(pairs))


def spread_of(pairs: pd.DataFrame) -> Spread:
    """The spread from the pairs' differences, with an interval by bootstrap over women.

    Raises StudyNotPossible where all differ by the same: a score that was copied is no repeat.
    """
    squares = (pairs["second"] - pairs["first"]) ** 2
    if np.ptp(squares) < _SAME:
        raise StudyNotPossible("all repeats differ by the same amount, such as 0: they are copies and no repeats")
    by_woman = squares.groupby(pairs["patient"]).agg(["sum", "count"])
    sums, counts = by_woman["sum"].to_numpy(), by_woman["count"].to_numpy(dtype=float)
    interval = bootstrap(
        (sums, counts),
        _sd,
        n_resamples=RESAMPLES,
        batch=100,
        paired=True,
        vectorized=True,
        method="BCa" if len(by_woman) <= MOST_FOR_CORRECTION else "percentile",
        rng=np.random.default_rng(0),  # the same file gives the same report
    ).confidence_interval
    return Spread(len(pairs), len(by_woman), float(_sd(sums, counts)), float(interval.low), float(interval.high))


def _sd(sums: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], axis: int = -1) -> npt.NDArray[np.float64]:
    """Half the mean square of a difference is the variance of one score."""
    return np.asarray(np.sqrt(sums.sum(axis=axis) / counts.sum(axis=axis) / 2))


def grows(pairs: pd.DataFrame) -> bool:
    """Whether scores that are higher differ more: by the rank correlation of size and level, at 5 %."""
    found = spearmanr((pairs["second"] - pairs["first"]).abs(), pairs["first"] + pairs["second"])
    return bool(found.statistic > 0 and found.pvalue < _GROWS_AT)


def in_logarithms(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same pairs with the logarithms of their scores: what grows in proportion to the score is even there."""
    return pairs.assign(first=np.log(pairs["first"]), second=np.log(pairs["second"]))


def levels(pairs: pd.DataFrame, fewest: int, most: int = 10) -> pd.Series:
    """The pairs in levels of their mean score, of about equal size and of `fewest` women at least, from 0 on.

    There are as many levels as allow that, and one where two do not.
    """
    rank = (pairs["first"] + pairs["second"]).rank(method="first") - 1
    for count in range(min(most, pairs["patient"].nunique() // fewest), 1, -1):
        level = (rank * count // len(pairs)).astype(int)
        if pairs["patient"].groupby(level).nunique().min() >= fewest:
            return level
    return (0 * rank).astype(int)
