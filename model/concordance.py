"""Harrell's c-index with one common end of follow-up: how often the earlier cancer had the higher score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def c_index(scores: NDArray[np.float64], event_years: NDArray[np.float64]) -> float:
    """Share of comparable pairs in the right order, ties counting half; `event_years` is infinite without an event."""
    earlier = event_years[:, None] < event_years[None, :]
    if not earlier.any():
        raise ValueError("a c-index needs at least one pair of which one has the event earlier")
    concordant = scores[:, None] > scores[None, :]
    tied = scores[:, None] == scores[None, :]
    return float((concordant[earlier].sum() + 0.5 * tied[earlier].sum()) / earlier.sum())
