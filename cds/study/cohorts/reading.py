"""A cohort from one file with a row an exam: the way in for who has no EHR, or no store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from cds.errors import StudyNotPossible
from cds.study.cohorts.assembling import assemble
from cds.study.cohorts.cohort import EXAM_COLUMNS, SIMULATED, Cohort
from cds.study.cohorts.flow import Flow
from cds.study.cohorts.tables import Kind, read_table, refuse_rows, rows_named
from cds.study.cohorts.women import women_of

REQUIRED: Final = ("patient", "exam_date", "score")
SAME_FOR_ALL: Final = ("model", "image_type")
"""Scores that differ in these are never compared: one study is of one class."""
KINDS: Final = {
    "patient": Kind.TEXT,
    "exam_date": Kind.DAY,
    "score": Kind.NUMBER,
    "device": Kind.TEXT,
    "density": Kind.TEXT,
    "age": Kind.NUMBER,
    "diagnosis_date": Kind.DAY,
    "diagnosis_type": Kind.TEXT,
    "detection": Kind.TEXT,
    "last_follow_up": Kind.DAY,
    "group": Kind.TEXT,
    **dict.fromkeys(SAME_FOR_ALL, Kind.TEXT),
}
OLDEST: Final = 120
MOST_DENSITIES: Final = 10
MOST_DEVICES: Final = 300
"""Their names, as those of densities and groups, stand in reports: no column of another meaning may."""
HARDLY_A_PERCENT: Final = 0.1
"""Below this a score is taken for a fraction; published calibrations of Mirai begin at 0.835 %."""


def read_cohort(path: Path, scores_in: str | None) -> Cohort:
    """The women and exams of a CSV or Parquet file; `scores_in` is percent or fraction, None where the file shows it.

    Raises StudyNotPossible, which names the columns and the rows (the first after the header is row 1).
    """
    rows = read_table(path, KINDS, REQUIRED)
    _check_rows(rows)
    rows["score"] = _fractions(rows["score"], scores_in)
    # The names end here: from now on a patient is a number.
    rows["patient"] = rows["patient"].cat.codes.astype(np.int32)
    women = women_of(rows)
    cohort = assemble(rows[list(EXAM_COLUMNS)], women, Flow(len(women), len(rows)))
    return replace(cohort, model=_named(rows["model"]), is_simulated=_named(rows["image_type"]) == SIMULATED)


def _named(words: pd.Series) -> str | None:
    """The one word of all rows; None where they have none."""
    return None if words.isna().any() else str(words.iloc[0])


def _check_rows(rows: pd.DataFrame) -> None:
    for name in ("patient", "exam_date"):
        refuse_rows(rows[name].isna(), name, "empty")
    refuse_rows((rows["age"] < 0) | (rows["age"] > OLDEST), "age", f"not an age in years from 0 to {OLDEST}")
    refuse_rows(rows["score"] < 0, "score", "under 0")
    if len(rows["density"].cat.categories) > MOST_DENSITIES:
        raise StudyNotPossible(
            f"column density: more than {MOST_DENSITIES} different words; give categories, such as a to d"
        )
    if len(rows["device"].cat.categories) > MOST_DEVICES:
        raise StudyNotPossible(f"column device: more than {MOST_DEVICES} different words; name units, and no exams")
    for name in SAME_FOR_ALL:
        codes = rows[name].cat.codes
        refuse_rows(
            codes != codes.iloc[0], name, "not the same as in row 1; make a file of each, they are never compared"
        )


def _fractions(scores: pd.Series, scores_in: str | None) -> pd.Series:
    unit = scores_in or _unit(scores)
    most = 100 if unit == "percent" else 1
    refuse_rows(scores > most, "score", f"over {most}, which no {unit} is")
    return scores / most


def _unit(scores: pd.Series) -> str:
    """What the scores are in, where they leave no doubt: no fraction is over 1, and hardly a percentage under 0.1."""
    percents, fractions = scores > 1, scores < HARDLY_A_PERCENT
    if percents.any() and fractions.any():
        raise StudyNotPossible(
            f"column score: percent and fractions seem to be mixed; {rows_named(percents)} over 1, "
            f"{rows_named(fractions)} under {HARDLY_A_PERCENT}; correct them, or say "
            "--scores-in percent if they are all in percent"
        )
    if not percents.any() and not fractions.any() and scores.notna().any():
        raise StudyNotPossible(
            f"column score: all from {HARDLY_A_PERCENT} to 1, which may be percent or fractions; say --scores-in"
        )
    return "percent" if percents.any() else "fraction"
