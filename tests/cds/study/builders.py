"""Small cohorts for the tests of the studies, in as few words as their women need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from cds.study.cohorts.cohort import Cohort
from cds.study.cohorts.flow import Flow
from cds.study.telling.summaries import Origin

ORIGIN = Origin("a-study", None, date(2026, 5, 20))


@dataclass(frozen=True)
class OneExam:
    """A day as YYYY-MM-DD, and the five-year score in percent."""

    day: str
    percent: float | None
    device: str | None = None
    density: str | None = None
    age: float | None = None


@dataclass(frozen=True)
class Woman:
    """A woman with her exams; followed to her last exam where nothing else is said, and "" is a follow-up not told."""

    exams: tuple[OneExam, ...]
    diagnosis: str | None = None
    diagnosis_type: str | None = None
    detection: str | None = None
    last_follow_up: str | None = None
    group: str | None = None


def woman(*exams: tuple[str, float] | OneExam, **known: str | None) -> Woman:
    """A woman with exams as (day, percent)."""
    return Woman(tuple(exam if isinstance(exam, OneExam) else OneExam(*exam) for exam in exams), **known)


def cohort(*women: Woman) -> Cohort:
    """The women as one cohort, numbered from 0 as they stand."""
    exams = pd.DataFrame(
        [
            (number, exam.day, exam.percent, exam.device, exam.density, exam.age)
            for number, one in enumerate(women)
            for exam in one.exams
        ],
        columns=["patient", "exam_date", "score", "device", "density", "age"],
    ).astype({"patient": np.int32, "score": np.float64, "age": np.float64})
    exams["exam_date"] = _days(exams["exam_date"])
    exams["score"] /= 100
    for name in ("device", "density"):
        exams[name] = exams[name].astype("category")
    exams = exams.sort_values(["patient", "exam_date"], kind="stable", ignore_index=True)
    return Cohort(exams, _women(women), Flow(len(women), len(exams)))


def _women(women: Iterable[Woman]) -> pd.DataFrame:
    rows = [
        (
            one.diagnosis,
            one.diagnosis_type or "unknown",
            one.detection or "unknown",
            _last_known(one) if one.last_follow_up is None else one.last_follow_up,
            one.group,
        )
        for one in women
    ]
    table = pd.DataFrame(rows, columns=["diagnosis_date", "diagnosis_type", "detection", "last_follow_up", "group"])
    table.index = pd.Index(np.arange(len(table), dtype=np.int32), name="patient")
    for name in ("diagnosis_date", "last_follow_up"):
        table[name] = _days(table[name])
    for name in ("diagnosis_type", "detection", "group"):
        table[name] = table[name].astype("category")
    return table


def _last_known(one: Woman) -> str:
    return max([exam.day for exam in one.exams] + ([one.diagnosis] if one.diagnosis else []))


def _days(texts: pd.Series) -> pd.Series:
    return pd.to_datetime(texts, format="%Y-%m-%d").astype("datetime64[s]")
