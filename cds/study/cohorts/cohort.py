"""What every study is made from: women with dated scores, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

import pandas as pd

from cds.study.cohorts.flow import Flow

DAYS_PER_YEAR: Final = 365.25
SIMULATED: Final = "simulated"
"""The `image_type` in the file of a cohort that nobody is in: its scores are of no image."""
EXAM_COLUMNS: Final = ("patient", "exam_date", "score", "device", "density", "age")
WOMAN_COLUMNS: Final = ("diagnosis_date", "diagnosis_type", "detection", "last_follow_up", "group")


@dataclass(frozen=True)
class Cohort:
    """Exams and women of one comparability class, without anything that identifies them.

    `exams`, sorted by patient and day: `patient` a number of this cohort alone (int32), `exam_date` (datetime64[s]),
    `score` the five-year risk as a fraction (float64), `device` and `density` (categories; NaN: not known), `age` in
    years (float64; NaN: not known). Two exams of one day are both there, in the order in which they were read.

    `women`, by patient: `diagnosis_date` (NaT: none known), `diagnosis_type` (invasive, DCIS, unknown), `detection`
    (screen, interval, unknown), `last_follow_up` (the last day of which a diagnosis would be known, as it was told,
    which may be before an exam or a diagnosis; NaT: not told), `group` (the site's own, for fairness; NaN: not given).
    Every woman has an exam.

    `model` is the key of the version that made the scores; None where a file does not say which. Where it
    `is_simulated` nobody is in it.
    """

    exams: pd.DataFrame
    women: pd.DataFrame
    flow: Flow
    model: str | None = None
    is_simulated: bool = False

    def only(self, kept: pd.Series, words: str) -> Self:
        """The cohort with the exams for which `kept` is true, and the women who still have one."""
        if kept.all():
            return self  # without a copy: there may be millions
        exams = self.exams[kept]
        women = self.women.loc[self.women.index.isin(exams["patient"])]
        return replace(self, exams=exams, women=women, flow=self.flow.without(words, self.exams, exams))

    def one_exam_a_day(self) -> Self:
        """The cohort with the first exam of each woman's day: a repeat is no new moment of a trajectory."""
        is_first = ~self.exams.duplicated(["patient", "exam_date"])
        return self.only(is_first, "a second exam of the same day")

    @property
    def is_diagnosed(self) -> pd.Series:
        """Whether a diagnosis of breast cancer is known, by patient."""
        return self.women["diagnosis_date"].notna()
