"""One exam of each woman, chosen by what was known on its day, and what became of her from then on.

The published study's index exam is the last one before a diagnosis, or the last of all: who is diagnosed decides which
exam it is, and an exam shortly before a diagnosis is compared with exams that nothing need follow. That describes how
scores rose; it would overstate how well they tell apart who will be diagnosed. So here the exam is chosen looking back
only, as the service would have had to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from cds.study.cohorts.cohort import DAYS_PER_YEAR, Cohort
from cds.study.cohorts.flow import Flow
from model.domain import SHORTEST_RATE_YEARS

HORIZONS: Final = (1, 2, 3, 4, 5)
RISK_YEARS: Final = 5
"""The rule reads the risk within so many years."""


@dataclass(frozen=True)
class Landmark:
    """The women who could be studied, by patient, and how they came to be those.

    `women` has `score`, the five-year risk at the exam, a fraction; `change`, in percentage points a year since the
    exam before, where the landmark asks for one; `years`, from the exam to the diagnosis or, without one, to the last
    follow-up, over 0; `is_case`, whether that end is a diagnosis; `exam_date`.
    """

    women: pd.DataFrame
    flow: Flow

    def cases_within(self, years: float) -> int:
        """How many were diagnosed within so many years."""
        return int((self.women["is_case"] & (self.women["years"] <= years)).sum())

    def followed_beyond(self, years: float) -> int:
        """How many were under observation without a diagnosis for longer than that."""
        return int((self.women["years"] > years).sum())


def first_exams(cohort: Cohort) -> Landmark:
    """Each woman's first exam: the longest follow-up, and nothing of what came later."""
    exams = _of_days(cohort)
    is_first = ~exams.exams.duplicated("patient")
    return _followed(exams.only(is_first, "an exam after the woman's first"))


def first_with_change(cohort: Cohort) -> Landmark:
    """Each woman's first exam nine months or more after the one before: the first day on which there was a change."""
    exams = _of_days(cohort)
    before = exams.exams.groupby("patient")[["exam_date", "score"]].shift()
    years = (exams.exams["exam_date"] - before["exam_date"]).dt.days / DAYS_PER_YEAR
    change = 100 * (exams.exams["score"] - before["score"]) / years.where(years >= SHORTEST_RATE_YEARS)
    is_first = change.notna() & (change.notna().groupby(exams.exams["patient"]).cumsum() == 1)
    chosen = exams.only(is_first, "not the first exam nine months or more after the one before")
    return _followed(chosen, change.loc[chosen.exams.index])


def _of_days(cohort: Cohort) -> Cohort:
    single = cohort.one_exam_a_day()
    diagnosed = single.exams["patient"].map(single.women["diagnosis_date"])
    return single.only(~(single.exams["exam_date"] > diagnosed), "an exam after the diagnosis")


def _followed(chosen: Cohort, change: pd.Series | None = None) -> Landmark:
    exams = chosen.exams.set_index("patient")
    known = chosen.women.loc[exams.index]
    end = known["diagnosis_date"].fillna(known["last_follow_up"])
    # A registry dates a cancer by its first sign, so an exam on that day came before it: by half a day, so to say.
    is_same_day = known["diagnosis_date"] == exams["exam_date"]
    days = (end - exams["exam_date"]).dt.days + 0.5 * is_same_day
    # Who was followed for five years to the day was followed for five, however many leap days these had.
    years = (days + (known["diagnosis_date"].isna() & (days > 0))) / DAYS_PER_YEAR
    women = pd.DataFrame({"score": exams["score"], "years": years, "is_case": known["diagnosis_date"].notna()})
    women["change"] = np.nan if change is None else change.to_numpy()
    women["exam_date"] = exams["exam_date"]
    is_followed = pd.Series((years > 0).to_numpy(), index=chosen.exams.index)
    followed = chosen.only(is_followed, "an exam after which nobody heard of her")
    return Landmark(women[years > 0], followed.flow)
