"""Where the level of a monthly figure changed for good, by the number of months and the noise between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from ruptures import Pelt

LEAST_MONTHS: Final = 12
LEAST_SEGMENT: Final = 2
"""A level has two months at least: one alone is an odd month."""
PENALTY: Final = 3.0
"""A change must lessen the squared distances, in units of the noise, by this times the logarithm of the months: one and
a half times the Bayesian information criterion (Yao 1988) for a level and its place. With 2, as the criterion has it, a
tenth of the simulated units without any change had one; with 3 at most one in 25."""
_LEAST_NOISE: Final = 1e-4


@dataclass(frozen=True)
class ChangePoint:
    """The month from which another level holds, and the mean levels before and after, up to the next change."""

    month: str
    before: float
    after: float


def change_points(months: Sequence[str], values: Sequence[float], errors: Sequence[float]) -> list[ChangePoint]:
    """The changes of level (PELT: Killick, Fearnhead and Eckley 2012); none of fewer than twelve months.

    `errors` are the standard errors of the values; where these scatter more from month to month, that is the noise.
    """
    if len(months) < LEAST_MONTHS:
        return []
    signal = np.asarray(values, dtype=np.float64)
    standardised = (signal / _noise(signal, errors)).reshape(-1, 1)
    search = Pelt(model="l2", min_size=LEAST_SEGMENT, jump=1).fit(standardised)
    ends = [0, *search.predict(pen=PENALTY * np.log(len(signal)))]
    levels = [float(signal[start:end].mean()) for start, end in pairwise(ends)]
    starts = ends[1:-1]
    return [ChangePoint(months[start], *levels[place : place + 2]) for place, start in enumerate(starts)]


def _noise(signal: NDArray[np.float64], errors: Sequence[float]) -> float:
    """Robust against the few steps that are looked for: the median size of the differences of neighbours."""
    steps = np.diff(signal)
    scatter = 1.4826 * np.median(np.abs(steps - np.median(steps))) / np.sqrt(2)
    return max(_LEAST_NOISE, float(scatter), float(np.median(errors)))
