"""Exams by the years before each woman's index exam, as the published study aligns them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from cds.study.cohorts.cohort import DAYS_PER_YEAR, Cohort
from cds.study.cohorts.flow import Flow

MOST_PRIORS: Final = 6
MOST_YEARS: Final = 6.5
"""What rounds to six years before the index exam: the study has six annual exams before it."""


@dataclass(frozen=True)
class Aligned:
    """The exams of `one_exam_a_day` up to each woman's index exam, with what the analysis needs of the woman.

    `exams` has `patient`, `years` (0 at the index exam, below it before), `percent` (the score), `has_cancer`, and
    as of the index exam `age` and `density`; `diagnosis_type` and `detection` too.
    """

    exams: pd.DataFrame
    flow: Flow

    @property
    def year_before(self) -> pd.Series:
        """The whole years before the index exam, rounded; no earlier exam shares the index exam's own place."""
        whole = (-self.exams["years"]).round().clip(lower=1)
        return whole.where(self.exams["years"] < 0, 0).astype(int)


def aligned(cohort: Cohort) -> Aligned:
    """The study's women: of those with a cancer the index exam is the last within a year before the diagnosis.

    Of the cancer-free it is their last.
    """
    once = cohort.one_exam_a_day()
    last = _of_each(once, once.exams.groupby("patient")["exam_date"].max())
    diagnosed = _of_each(once, once.women["diagnosis_date"])
    has_index = ~(last < diagnosed - pd.DateOffset(years=1))
    indexed = once.only(has_index, "a cancer without an exam within a year before its diagnosis")
    years = (indexed.exams["exam_date"] - last[has_index]).dt.days / DAYS_PER_YEAR
    lately = indexed.only(years > -MOST_YEARS, f"more than {MOST_YEARS} years before the index exam")
    newest = lately.exams.groupby("patient").cumcount(ascending=False) <= MOST_PRIORS
    studied = lately.only(newest, f"earlier than the {MOST_PRIORS} exams before the index exam")
    return Aligned(_table(studied, years), studied.flow)


def _of_each(cohort: Cohort, of_woman: pd.Series) -> pd.Series:
    """What is known of a woman, for each of her exams."""
    return cohort.exams["patient"].map(of_woman)


def _table(cohort: Cohort, years: pd.Series) -> pd.DataFrame:
    exams = cohort.exams
    index = exams.groupby("patient").tail(1).set_index("patient")
    of_woman = {
        "has_cancer": cohort.is_diagnosed,
        **{name: cohort.women[name] for name in ("diagnosis_type", "detection")},
        **{name: index[name] for name in ("age", "density")},
    }
    columns = {name: _of_each(cohort, values) for name, values in of_woman.items()}
    told = {"patient": exams["patient"], "years": years[exams.index], "percent": 100 * exams["score"], **columns}
    return pd.DataFrame(told).reset_index(drop=True)
