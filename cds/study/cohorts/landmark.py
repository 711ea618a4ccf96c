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

from cds.errors import StudyNotPossible
from cds.study.cohorts.cohort import DAYS_PER_YEAR, Cohort
from cds.study.cohorts.flow import Flow
from model.domain import SHORTEST_RATE_YEARS

HORIZONS: Final = (1, 2, 3, 4, 5)
RISK_YEARS: Final = 5
"""The rule reads the risk within so many years."""
MOST_UNTOLD: Final = 0.05
"""Who may lack a follow-up: a loss under 5 % biases little (Dettori, Evid Based Spine Care J 2011;2(1):7); of the women
with a cancer and of the others alike, as among few cancers a few that are missing move the share."""


@dataclass(frozen=True)
class Landmark:
    """The women who could be studied, by patient, and how they came to be those.

    `women` has `score`, the five-year risk at the exam, a fraction; `change`, in percentage points a year since the
    exam before, where the landmark asks for one; `years`, from the exam to the diagnosis or, without one by then, to
    the last follow-up, over 0; `is_case`, whether that end is a diagnosis; `exam_date`.
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
    return _followed(exams.only(is_first, "an exam after the woman's first"), _last_exams(cohort))


def first_with_change(cohort: Cohort) -> Landmark:
    """Each woman's first exam nine months or more after the one before: the first day on which there was a change."""
    exams = _of_days(cohort)
    before = exams.exams.groupby("patient")[["exam_date", "score"]].shift()
    years = (exams.exams["exam_date"] - before["exam_date"]).dt.days / DAYS_PER_YEAR
    change = 100 * (exams.exams["score"] - before["score"]) / years.where(years >= SHORTEST_RATE_YEARS)
    is_first = change.notna() & (change.notna().groupby(exams.exams["patient"]).cumsum() == 1)
    chosen = exams.only(is_first, "not the first exam nine months or more after the one before")
    return _followed(chosen, _last_exams(cohort), change)


def _last_exams(cohort: Cohort) -> pd.Series:
    """Their days, by patient."""
    return cohort.exams.groupby("patient")["exam_date"].max()


def _of_days(cohort: Cohort) -> Cohort:
    single = cohort.one_exam_a_day()
    diagnosed = single.exams["patient"].map(single.women["diagnosis_date"])
    return single.only(~(single.exams["exam_date"] > diagnosed), "an exam after the diagnosis")


def _followed(chosen: Cohort, last_exams: pd.Series, change: pd.Series | None = None) -> Landmark:
    """What became of the women after their exam, as far as it was told; raises StudyNotPossible where too few tell.

    Nobody stays, or is followed for longer, because of a diagnosis: it counts up to the last follow-up, as would one
    that did not come.
    """
    _require_follow_up(chosen.women, last_exams)
    until = chosen.women["last_follow_up"].loc[chosen.exams["patient"]].set_axis(chosen.exams.index)
    told = chosen.only(until.notna(), "of a woman whose last follow-up is not told")
    is_within = (until >= chosen.exams["exam_date"]).loc[told.exams.index]
    followed = told.only(is_within, "an exam after the woman's last follow-up")
    exams = followed.exams.set_index("patient")
    until, diagnosed = followed.women["last_follow_up"], followed.women["diagnosis_date"]
    is_case = diagnosed <= until
    days = (diagnosed.where(is_case, until) - exams["exam_date"]).dt.days
    # A registry dates a cancer by its first sign, so an exam on that day came before it: by half a day, so to say. The
    # last follow-up ends with its day, so that five years to the day are five, however many leap days they had.
    years = (days + np.where(is_case, 0.5 * (days == 0), 1)) / DAYS_PER_YEAR
    women = pd.DataFrame({"score": exams["score"], "years": years, "is_case": is_case})
    women["change"] = np.nan if change is None else change.loc[followed.exams.index].to_numpy()
    women["exam_date"] = exams["exam_date"]
    later = int((diagnosed > until).sum())
    return Landmark(women, followed.flow.noting("a diagnosis after the last follow-up, not counted", later, later))


def _require_follow_up(women: pd.DataFrame, last_exams: pd.Series) -> None:
    is_ill, until = women["diagnosis_date"].notna(), women["last_follow_up"]
    # That a woman came once more does not say that anybody would have told of a cancer afterwards.
    says_nothing = until.isna() | (~is_ill & (until == last_exams.loc[women.index]))
    groups = {"with a cancer": is_ill, "without a cancer": ~is_ill}
    lacking = [words for words, of in groups.items() if says_nothing[of].mean() > MOST_UNTOLD]
    if lacking:
        raise StudyNotPossible(
            f"column last_follow_up: over {100 * MOST_UNTOLD:g} % of the women {' and of those '.join(lacking)} have "
            "none, or the day of their last exam, so that who is studied would depend on who was diagnosed; give for "
            "every woman, with a cancer too, the last day of which it would be known here that she had one: that up to "
            "which the cancer registry is complete or, if earlier, that on which she moved away or died"
        )
