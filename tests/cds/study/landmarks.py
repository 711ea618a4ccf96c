"""Women after a landmark: a few that are made by a rule, as in survival.R, and as many as a test wants by chance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cds.study.cohorts.cohort import Cohort
from cds.study.cohorts.flow import Flow


def sixty() -> pd.DataFrame:
    """The sixty women of survival.R, with equal scores and equal times among them."""
    number = np.arange(1, 61)
    score = np.round(0.004 + 0.03 * ((number * 37) % 61) / 61, 3)
    years = np.round(0.2 + 7 * ((number * 23) % 67) / 67, 1)
    return pd.DataFrame(
        {
            "score": score,
            "change": (number % 5) - 2.0,
            "years": years,
            "is_case": (number * 31) % 59 / 59 < 0.25 + 12 * score,
        }
    )


def cohort_by_chance(seed: int, women: int, *, factor: float = 1.0, power: float = 1.0, risk: float = 0.03) -> Cohort:
    """Women with three yearly exams, whose true five-year risk r the model tells as factor * r ** power.

    Half of them are lost from sight in the five years after their first exam, by chance.
    """
    rng = np.random.default_rng(seed)
    true = np.clip(risk * np.exp(rng.normal(0, 0.7, women)), 0.001, 0.4)
    days = (rng.exponential(-5 * 365.25 / np.log1p(-true)) + 1).clip(max=36_500).astype(int)
    seen = rng.integers(800, 2900, women)
    first = np.datetime64("2010-01-01") + rng.integers(0, 700, women)
    end = np.minimum(days, seen)
    exams = pd.concat(
        pd.DataFrame({"patient": np.arange(women), "exam_date": first + 366 * turn, "score": factor * true**power})[
            366 * turn < end
        ]
        for turn in range(3)
    ).astype({"patient": np.int32})
    exams["score"] = (exams["score"] * np.exp(rng.normal(0, 0.05, len(exams)))).clip(0.0001, 0.9)
    exams["exam_date"] = exams["exam_date"].astype("datetime64[s]")
    exams = exams.sort_values(["patient", "exam_date"], ignore_index=True).assign(age=np.nan)
    for name in ("device", "density"):
        exams[name] = pd.Categorical([None] * len(exams))
    return Cohort(exams, _women(first, days, seen), Flow(women, len(exams)))


def _women(first: np.ndarray, days: np.ndarray, seen: np.ndarray) -> pd.DataFrame:
    diagnosis = pd.Series(first + days).where(days <= seen)
    women = pd.DataFrame({"diagnosis_date": diagnosis, "last_follow_up": first + np.minimum(days, seen)})
    for name in ("diagnosis_type", "detection", "group"):
        women[name] = pd.Categorical(["unknown"] * len(women))
    women.index = pd.Index(np.arange(len(women), dtype=np.int32), name="patient")
    return women.astype({"diagnosis_date": "datetime64[s]", "last_follow_up": "datetime64[s]"})
