"""A cohort from the site's own store: its scores, joined with a file of what became of the women."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from sqlalchemy import Engine, Row, Select, func, select
from sqlmodel import col

from cds.errors import StudyNotPossible
from cds.services import usable_card
from cds.settings import read_settings
from cds.store.database import open_database
from cds.store.tables import Exam, Score, Scoring, ScoringState
from cds.study.cohorts.assembling import assemble
from cds.study.cohorts.cohort import DAYS_PER_YEAR, EXAM_COLUMNS, WOMAN_COLUMNS, Cohort
from cds.study.cohorts.flow import Flow
from cds.study.cohorts.tables import Kind, blank_table, read_table, refuse_rows
from cds.study.cohorts.women import women_of
from model.domain import YEARS, ImageType

KINDS: Final = {
    "ehr": Kind.TEXT,
    "patient": Kind.TEXT,
    "birth_date": Kind.DAY,
    "diagnosis_date": Kind.DAY,
    "diagnosis_type": Kind.TEXT,
    "detection": Kind.TEXT,
    "last_follow_up": Kind.DAY,
    "group": Kind.TEXT,
}
REQUIRED: Final = ("patient", "diagnosis_date", "last_follow_up")
DESCRIBING: Final = (*WOMAN_COLUMNS, "birth_date")
NO_EXAM: Final = "the store has no exam yet"
_ROWS_AT_ONCE: Final = 20_000
_Numbers = dict[tuple[str, str], int]


def read_stored_cohort(config: Path | None, outcomes: Path | None) -> Cohort:
    """The scores of the site's model and the women of the file, if any; raises StudyNotPossible, SettingsError."""
    settings = read_settings(config)
    engine = open_database(settings.database_url, must_exist=True)
    return stored_cohort(engine, usable_card(settings).version.key, outcomes)


def stored_cohort(engine: Engine, model: str, outcomes: Path | None) -> Cohort:
    """The women whom the file names, by their FHIR ids, with the exams that their EHRs list and this model has scored.

    Without a file it is all women, and of none is it known what became of her. A woman in two EHRs is two women:
    nothing here knows that they are one.
    """
    exams, women = _all(engine, model) if outcomes is None else _named(engine, model, outcomes)
    flow = Flow(exams["patient"].nunique(), len(exams))
    for words, is_kept in (
        ("of a woman whom the file of outcomes does not name", exams["patient"].isin(women.index)),
        ("an exam that could not be scored", exams["state"] != ScoringState.REFUSED),
        ("an exam that is not scored yet", exams["state"] == ScoringState.SCORED),
        ("a score of another kind of image than direct 2D", exams["image_type"] == ImageType.FFDM),
    ):
        kept = exams[is_kept.loc[exams.index]]
        flow, exams = flow.without(words, exams, kept), kept
    unseen = ~women.index.isin(exams["patient"])
    words = "named by the file of outcomes, without a scored exam in the store"
    flow = flow.noting(words, int(unseen.sum()), 0, of=(0, 0))
    born = exams["patient"].map(women["birth_date"])
    aged = exams.assign(
        density=pd.Categorical([None] * len(exams)), age=(exams["exam_date"] - born).dt.days / DAYS_PER_YEAR
    )
    return replace(assemble(aged[list(EXAM_COLUMNS)], women, flow), model=model)


def _all(engine: Engine, model: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    exams = _exams(engine, model, {})
    patients = exams["patient"].unique()
    return exams, women_of(blank_table(KINDS, len(patients)).assign(patient=patients), DESCRIBING)


def _named(engine: Engine, model: str, outcomes: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    named = read_table(outcomes, KINDS, REQUIRED)
    numbers = _number(named, engine)
    return _exams(engine, model, numbers), women_of(named, DESCRIBING)


def _number(named: pd.DataFrame, engine: Engine) -> _Numbers:
    """A number for each woman of the file, in place of her EHR and her id there."""
    refuse_rows(named["patient"].isna(), "patient", "empty")
    with engine.connect() as connection:
        ehrs = connection.execute(select(col(Exam.ehr)).distinct()).scalars().all()
    if named["ehr"].isna().all() and len(ehrs) == 1:
        named["ehr"] = ehrs[0]
    if not ehrs:
        raise StudyNotPossible(NO_EXAM)
    refuse_rows(
        named["ehr"].isna(), "ehr", "empty, and the store has exams of several EHRs: name it as the settings do"
    )
    numbers: _Numbers = {}
    keys = zip(named["ehr"].astype(str), named["patient"].astype(str), strict=True)
    named["patient"] = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int32)
    return numbers


def _exams(engine: Engine, model: str, numbers: _Numbers) -> pd.DataFrame:
    """The exams that are listed; women without a number get one."""
    with engine.connect().execution_options(yield_per=_ROWS_AT_ONCE) as connection:
        parts = [_frame(rows, numbers) for rows in connection.execute(_query(model)).partitions()]
    if not parts:
        raise StudyNotPossible(NO_EXAM)
    return pd.concat(parts, ignore_index=True)


def _query(model: str) -> Select[Any]:
    return (
        select(
            col(Exam.ehr),
            col(Exam.patient_id),
            func.coalesce(col(Score.performed_on), col(Exam.performed_on)),
            col(Score.calibrated)[len(YEARS) - 1].as_float(),
            func.trim(col(Score.manufacturer) + " " + col(Score.device_model)),
            col(Scoring.state),
            col(Score.image_type),
        )
        .select_from(Exam)
        .join(Scoring, (col(Scoring.exam_id) == Exam.id) & (col(Scoring.model) == model), isouter=True)
        .join(Score, col(Score.id) == Scoring.score_id, isouter=True)
        .where(col(Exam.listed))
        .order_by(col(Exam.id))
    )


def _frame(rows: Sequence[Row[Any]], numbers: _Numbers) -> pd.DataFrame:
    names = ("ehr", "patient_id", "exam_date", "score", "device", "state", "image_type")
    frame = pd.DataFrame(rows, columns=list(names)).astype({"score": np.float64, "exam_date": "datetime64[s]"})
    keys = zip(frame.pop("ehr"), frame.pop("patient_id"), strict=True)
    frame["patient"] = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int32)
    frame["device"] = frame["device"].replace("", None)
    return frame
