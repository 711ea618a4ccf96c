"""An exam as the store knows it, in rows of plain columns: a hook reads some at each call, and changes none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, select
from sqlmodel import SQLModel, col

from cds.store.tables import Exam, Score, Scoring


class StoredExam(NamedTuple):
    """What is read of table `exam`."""

    ehr: str
    patient_id: str
    key: str
    study_uid: str | None
    accession_number: str | None
    imaging_study: str | None
    performed_on: date | None
    dicomweb_root: str | None
    patient_identifiers: list[str]
    source: str
    images: str | None
    listed: bool


class StoredErrand(NamedTuple):
    """What is read of table `scoring`."""

    id: int
    state: str
    priority: int
    due_at: datetime
    claimed_until: datetime | None
    lost: int
    problem: str | None
    finished_at: datetime | None
    exclusions: list[dict[str, Any]]


class StoredScore(NamedTuple):
    """What is read of table `score`."""

    study_uid: str
    model_name: str
    weights: str
    preprocessing: str
    calibration: str
    clinical: bool
    performed_on: date
    calibrated: list[float]
    raw: list[float]
    manufacturer: str
    device_model: str
    software_versions: str
    image_type: str
    images: list[dict[str, str]]
    processor: str
    software: str
    warnings: list[str]
    scored_at: datetime


class KnownExam(NamedTuple):
    """An exam, the errand of scoring it with one model, and the score that it led to; None where there is none."""

    exam: StoredExam
    errand: StoredErrand | None
    score: StoredScore | None


OF_MODEL = col(Scoring.model) == bindparam("model")
NOT_OF_MODEL = col(Scoring.model) != bindparam("model")


def query(which: ColumnElement[bool], errands: ColumnElement[bool] = OF_MODEL) -> Select[Any]:
    """The statement that reads the exams for which a condition holds, in the order of their ids; needs the `model`.

    To be made once and kept: putting it together takes longer than running it.
    """
    return (
        select(
            *_columns(Exam, StoredExam._fields),
            *_columns(Scoring, StoredErrand._fields),
            *_columns(Score, StoredScore._fields),
        )
        .select_from(Exam)
        .join(Scoring, (col(Scoring.exam_id) == Exam.id) & errands, isouter=True)
        .join(Score, col(Score.id) == Scoring.score_id, isouter=True)
        .where(which)
        .order_by(col(Exam.id))
    )


def read(connection: Connection, statement: Select[Any], **wanted: object) -> list[KnownExam]:
    """The exams that a `query` finds, in the order of their keys."""
    found = map(_known, connection.execute(statement, wanted))
    return sorted(found, key=lambda known: known.exam.key)


def by_key(known: Iterable[KnownExam]) -> Mapping[tuple[str, str], KnownExam]:
    """The exams by EHR and key, of which there is one each."""
    return {(one.exam.ehr, one.exam.key): one for one in known}


def _columns(table: type[SQLModel], names: Iterable[str]) -> list[Any]:
    return [getattr(table, name) for name in names]


_ERRAND = len(StoredExam._fields)
_SCORE = _ERRAND + len(StoredErrand._fields)


def _known(row: Row[Any]) -> KnownExam:
    errand, score = row[_ERRAND:_SCORE], row[_SCORE:]
    # What an outer join did not find has nothing in any column.
    return KnownExam(
        StoredExam(*row[:_ERRAND]),
        None if errand[0] is None else StoredErrand(*errand),
        None if score[0] is None else StoredScore(*score),
    )
