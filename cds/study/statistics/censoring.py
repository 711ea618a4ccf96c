"""Women of whom nobody knows the end: Kaplan-Meier, and weights that let those who are known stand for them.

Both take it that who is lost from sight has the same risk as who stays. A site's own patients may leave because they
are ill, or die of something else, which no column tells: the reports say so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from statsmodels.duration.survfunc import SurvfuncRight

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Observed:
    """The share of women with a diagnosis within some years (1 - Kaplan-Meier), and its standard error (Greenwood)."""

    share: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, on the scale of log(-log), which stays between 0 and 1; not a number where nobody was diagnosed."""
        if not 0 < self.share < 1:
            return np.nan, np.nan
        survival = 1 - self.share
        width = norm.ppf(0.975) * self.error / (survival * abs(np.log(survival)))
        low, high = (1 - survival ** np.exp(step) for step in (-width, width))
        return float(low), float(high)


def observed(years: ArrayLike, is_case: ArrayLike, within: float, counts: ArrayLike | None = None) -> Observed:
    """Who was diagnosed within so many years; not a number where nobody was followed so long.

    `counts` is how often each woman counts, where a resample of them is meant.
    """
    times, cases = np.asarray(years, float), np.asarray(is_case, bool)
    if not len(times) or times.max() < within:
        return Observed(np.nan, np.nan)
    if not cases[times <= within].any():
        return Observed(0.0, np.nan)
    curve = SurvfuncRight(times, cases.astype(int), freq_weights=counts)
    last = np.searchsorted(curve.surv_times, within, side="right") - 1
    return Observed(float(1 - curve.surv_prob[last]), float(curve.surv_prob_se[last]))


def uncensored(years: ArrayLike, is_case: ArrayLike, at: ArrayLike, counts: ArrayLike | None = None) -> Floats:
    """How likely a woman is still under observation just before each of the years in `at`.

    `counts` is how often each woman counts, where a resample of them is meant.
    """
    is_lost = 1 - np.asarray(is_case, int)
    lost = SurvfuncRight(np.asarray(years, float), is_lost, freq_weights=counts)
    places = np.searchsorted(lost.surv_times, np.asarray(at, float), side="left")
    return np.asarray(np.concatenate([[1.0], lost.surv_prob])[places], float)


def known_weights(years: ArrayLike, is_case: ArrayLike, within: float) -> Floats:
    """How many women each stands for whose outcome within so many years is known; 0 where it is not (IPCW)."""
    times, cases = np.asarray(years, float), np.asarray(is_case, bool)
    is_known = (cases & (times <= within)) | (times > within)
    remaining = uncensored(times, cases, np.minimum(times, within))
    # Where nobody is left, nobody is known either.
    return np.divide(1.0, remaining, out=np.zeros(len(times)), where=is_known & (remaining > 0))
