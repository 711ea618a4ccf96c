"""A cohort that nobody is in: of the size and shape of the published study, with slopes that are known exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cds.errors import StudyNotPossible
from cds.study.cohorts.aligned import MOST_PRIORS, MOST_YEARS
from cds.study.cohorts.assembling import assemble
from cds.study.cohorts.cohort import DAYS_PER_YEAR, EXAM_COLUMNS, SIMULATED, Cohort
from cds.study.cohorts.flow import Flow

Floats = NDArray[np.float64]

MOST_EXAMS: Final = 1 + MOST_PRIORS
_LEAST: Final = 0.8
"""In percent: about where the published calibration of Mirai begins."""
_TYPES: Final = {"invasive": 451, "DCIS": 118, "unknown": 248}
_DETECTIONS: Final = {"screen": 682, "interval": 135}
_DENSITIES: Final = {"a": 10, "b": 42, "c": 40, "d": 8}
_DEVICES: Final = {"Unit 1": 3, "Unit 2": 1}
_GROUPS: Final = {"A": 5, "B": 3, "C": 2}


@dataclass(frozen=True)
class Course:
    """How the scores of a group run: `slope` in percentage points a year, true of the mean.

    Each woman's own line leads from a level that she begins with, six and a half years before, to her level at the
    index exam. Both lie above the least score, have a part in common whose mean is `shared`, and parts of their own;
    `last` is the mean of that at the index exam.
    """

    slope: float
    shared: float
    last: float

    @property
    def first(self) -> float:
        """The mean of the part that is only there when she begins."""
        return self.last - self.slope * MOST_YEARS


DIAGNOSED: Final = Course(slope=1.13, shared=0.5, last=7.5)
CANCER_FREE: Final = Course(slope=0.09, shared=0.9, last=0.9)
_SHAPE: Final = 1.1
_NOISE: Final = 0.2
_SHARES: Final = (0.27, 0.22, 0.17, 0.13, 0.10, 0.07, 0.04)
"""Of women with one to seven exams: a median of three, a mean of 2.94."""


def simulated_cohort(seed: int, women: int = 54_014, cancers: int = 817, exams: int = 158_807) -> Cohort:
    """So many women and exams, the first of them with a cancer; the same for the same seed."""
    if not (0 <= cancers <= women and 1 <= women <= exams <= MOST_EXAMS * women):
        raise StudyNotPossible(
            f"there must be no more cancers than women, and 1 to {MOST_EXAMS} exams for each of them"
        )
    rng = np.random.default_rng(seed)
    counts = _counts(rng, women, exams)
    has_cancer = np.arange(women) < cancers
    index = np.datetime64("2015-01-01") + rng.integers(0, 5 * 365, women)
    made = _exams(rng, counts, index, has_cancer)
    return replace(assemble(made, _women(rng, index, has_cancer), Flow(women, exams)), is_simulated=True)


def write_simulated(cohort: Cohort, path: Path) -> None:
    """The cohort as a file with a row an exam, as `read_cohort` takes it, marked as simulated; scores in percent."""
    rows = cohort.exams.join(cohort.women, on="patient").assign(image_type=SIMULATED)
    rows["score"] = (100 * rows["score"]).round(6)
    rows.to_csv(path, index=False, date_format="%Y-%m-%d")


def _counts(rng: np.random.Generator, women: int, exams: int) -> NDArray[np.int64]:
    """How many exams each woman has: one to seven, so many in all."""
    counts = rng.choice(np.arange(1, MOST_EXAMS + 1), women, p=_SHARES)
    while missing := exams - int(counts.sum()):
        step = 1 if missing > 0 else -1
        can = np.flatnonzero((counts + step >= 1) & (counts + step <= MOST_EXAMS))
        counts[rng.choice(can, min(abs(missing), len(can)), replace=False)] += step
    return counts


def _exams(
    rng: np.random.Generator, counts: NDArray[np.int64], index: NDArray[Any], has_cancer: NDArray[np.bool_]
) -> pd.DataFrame:
    patient = np.repeat(np.arange(len(counts)), counts)
    before = np.arange(len(patient)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0 is the index exam
    days = -before * 370 + np.where(before > 0, rng.integers(-25, 26, len(patient)), 0)
    scores = np.where(
        has_cancer[patient],
        _scores(rng, patient, days / DAYS_PER_YEAR, DIAGNOSED),
        _scores(rng, patient, days / DAYS_PER_YEAR, CANCER_FREE),
    )
    age = np.clip(rng.normal(61, 8, len(counts)), 44, 84)[patient] + days / DAYS_PER_YEAR
    density = _drawn(rng, _DENSITIES, len(counts))[patient]
    device = _drawn(rng, _DEVICES, len(patient))
    columns = (
        patient,
        index[patient] + days,
        scores / 100,
        pd.Categorical(device),
        pd.Categorical(density),
        age.round(1),
    )
    return pd.DataFrame(dict(zip(EXAM_COLUMNS, columns, strict=True)))


def _scores(rng: np.random.Generator, patient: NDArray[np.int64], years: Floats, course: Course) -> Floats:
    """In percent. Levels and noise are independent, and each woman's line is straight: so is that of the mean."""
    means = (course.shared, course.first, course.last)
    shared, first, last = (rng.gamma(_SHAPE, mean / _SHAPE, int(patient[-1]) + 1)[patient] for mean in means)
    noise = rng.gamma(1 / _NOISE**2, _NOISE**2, len(patient))
    return _LEAST + (shared + last + (last - first) * years / MOST_YEARS) * noise


def _women(rng: np.random.Generator, index: NDArray[Any], has_cancer: NDArray[np.bool_]) -> pd.DataFrame:
    women, cancers = len(index), int(has_cancer.sum())
    detection, kind = np.full((2, women), None, dtype=object)
    detection[has_cancer], kind[has_cancer] = _drawn(rng, _DETECTIONS, cancers), _drawn(rng, _TYPES, cancers)
    # A cancer that a screening found is diagnosed soon after it, an interval cancer within the year.
    soon, later = rng.integers(3, 61, women), rng.integers(61, 361, women)
    diagnosis = np.where(has_cancer, index + np.where(detection == "interval", later, soon), np.datetime64("NaT"))
    followed = index + rng.integers(365, 6 * 365, women)
    frame = pd.DataFrame(
        {
            "diagnosis_date": diagnosis,
            "diagnosis_type": pd.Categorical(kind, ["DCIS", "invasive", "unknown"]),
            "detection": pd.Categorical(detection, ["interval", "screen", "unknown"]),
            "last_follow_up": followed,
            "group": pd.Categorical(_drawn(rng, _GROUPS, women)),
        }
    )
    return frame.rename_axis("patient")


def _drawn(rng: np.random.Generator, weights: dict[str, int], count: int) -> NDArray[Any]:
    """So many of the words in the proportions of their weights, as exactly as whole numbers allow, in random order."""
    ends = np.round(np.cumsum(list(weights.values())) / sum(weights.values()) * count).astype(int)
    return rng.permutation(np.repeat(np.array(list(weights), dtype=object), np.diff(ends, prepend=0)))
