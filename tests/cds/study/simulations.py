"""Parts of simulated cohorts that several tests are made of."""

from __future__ import annotations

import pandas as pd

from cds.study.cohorts.aligned import aligned
from cds.study.cohorts.cohort import Cohort
from cds.study.cohorts.simulated import simulated_cohort


def simulated(seed: int, women: int = 1817, cancers: int = 817) -> Cohort:
    """A smaller cohort of the study's shape."""
    return simulated_cohort(seed, women, cancers, int(2.94 * women))


def cancer_free(seed: int) -> pd.DataFrame:
    """The aligned exams of its cancer-free women."""
    exams = aligned(simulated(seed)).exams
    return exams[~exams["has_cancer"]]
