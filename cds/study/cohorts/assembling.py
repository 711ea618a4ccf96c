"""Makes a cohort of exams and what became of the women: leaves out what no study can use, and counts it."""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from cds.errors import StudyNotPossible
from cds.study.cohorts.cohort import EXAM_COLUMNS, WOMAN_COLUMNS, Cohort
from cds.study.cohorts.flow import Flow
from cds.study.cohorts.women import UNKNOWN
from cds.study.telling.small_cells import told

SAME_ROW: Final = "the same row a second time"
_DAYS_OF_WOMEN: Final = ("diagnosis_date", "last_follow_up")


def assemble(exams: pd.DataFrame, women: pd.DataFrame, flow: Flow) -> Cohort:
    """The cohort of these exams, in any order, and of the women as `women_of` gives them; raises StudyNotPossible.

    An exam on the day of the diagnosis counts as one before it: registries date a cancer by its first sign, which is
    often the screening mammogram itself.
    """
    ordered = exams.sort_values(["patient", "exam_date"], kind="stable", ignore_index=True)
    read = Cohort(ordered, women.loc[np.unique(ordered["patient"])], flow)
    return _in_its_types(_not_empty(_before_diagnosis(_not_empty(_usable(read)))))


def up_to_today(cohort: Cohort, today: date) -> Cohort:
    """The cohort without exams that are yet to come, as an archive's slip may have them; raises StudyNotPossible.

    It does where a diagnosis or a last follow-up is: 2099 for "still here" would count as years without a cancer. The
    day after today is still taken: it may have begun elsewhere.
    """
    latest = pd.Timestamp(today) + pd.Timedelta(days=1)
    is_late = cohort.exams["exam_date"] > latest
    kept = _not_empty(cohort.only(~is_late, "an exam dated after today"))
    for name in _DAYS_OF_WOMEN:
        if (kept.women[name] > latest).any():
            raise StudyNotPossible(
                f"column {name}: days after today; give the last day of which it is known, and leave empty what is not"
            )
    return kept


def _not_empty(cohort: Cohort) -> Cohort:
    if cohort.exams.empty:
        raise StudyNotPossible(f"no exam is left: {_reasons(cohort.flow)}")
    return cohort


def _reasons(flow: Flow) -> str:
    return "; ".join(f"{told(step.exams)} left out, {step.words}" for step in flow.left_out)


def _usable(cohort: Cohort) -> Cohort:
    scored = cohort.only(cohort.exams["score"].notna(), "an exam without a score")
    once = scored.only(~scored.exams.duplicated(list(EXAM_COLUMNS)), SAME_ROW)
    return once.only(~once.exams["patient"].isin(_undated(once.women)), "a cancer without its day of diagnosis")


def _undated(women: pd.DataFrame) -> pd.Index:
    """The women of whose cancer there is a type or a way of detection, and no day."""
    has_words = pd.concat(
        [women[name].notna() & (women[name] != UNKNOWN) for name in ("diagnosis_type", "detection")], axis=1
    )
    return women.index[women["diagnosis_date"].isna() & has_words.any(axis=1)]


def _before_diagnosis(cohort: Cohort) -> Cohort:
    first = cohort.exams.groupby("patient")["exam_date"].min()
    too_early = cohort.women.index[cohort.women["diagnosis_date"] < first]
    had_one = cohort.only(~cohort.exams["patient"].isin(too_early), "a diagnosis before the first exam")
    diagnosed = had_one.exams["patient"].map(had_one.women["diagnosis_date"])
    return had_one.only(~(had_one.exams["exam_date"] > diagnosed), "an exam after the diagnosis")


def _in_its_types(cohort: Cohort) -> Cohort:
    exams = cohort.exams.reset_index(drop=True).astype(
        {"patient": np.int32, "exam_date": "datetime64[s]", "device": "category", "density": "category"}
    )
    women = cohort.women.astype(
        {"diagnosis_date": "datetime64[s]", "last_follow_up": "datetime64[s]", "group": "category"}
    )
    women.index = women.index.astype(np.int32)
    for name in ("diagnosis_type", "detection"):
        women[name] = women[name].fillna(UNKNOWN)
    is_meant = _ends_on_diagnosis(exams, women)
    of_them = exams["patient"].isin(women.index[is_meant])
    flow = cohort.flow.noting(
        "an exam on the day of the diagnosis, taken as one before it", int(is_meant.sum()), int(of_them.sum())
    )
    return Cohort(exams[list(EXAM_COLUMNS)], women[list(WOMAN_COLUMNS)], flow)


def _ends_on_diagnosis(exams: pd.DataFrame, women: pd.DataFrame) -> pd.Series:
    return exams.groupby("patient")["exam_date"].max().reindex(women.index) == women["diagnosis_date"]
