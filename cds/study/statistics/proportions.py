"""Shares of women with their uncertainty."""

from __future__ import annotations

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint


def shares(parts: pd.Series, wholes: pd.Series) -> pd.DataFrame:
    """`share`, and `low` and `high` of its 95 % Wilson interval, all in percent; NaN where the whole is nobody."""
    wholes = wholes.astype(float).where(wholes > 0)
    known = wholes.notna()
    low, high = (np.full(len(wholes), np.nan) for _ in range(2))
    low[known], high[known] = proportion_confint(parts[known], wholes[known], method="wilson")
    return pd.DataFrame({"share": 100 * parts / wholes, "low": 100 * low, "high": 100 * high}, index=parts.index)
