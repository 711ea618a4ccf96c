"""The exams that have no score: refused, or held by the problem of their last attempt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import Engine, select
from sqlmodel import col

from cds.store.queue_counts import HELD, NO_REASON
from cds.store.tables import Exam, Scoring, ScoringState

AT_A_TIME = 1000


@dataclass(frozen=True)
class UnscoredExam:
    """An exam as an archive and the EHR know it, whether it is `refused` or `held`, and why, in sentences."""

    ehr: str
    patient_id: str = field(repr=False)
    exam_date: date | None
    study_uid: str | None = field(repr=False)
    accession_number: str | None = field(repr=False)
    place: str
    reasons: tuple[str, ...]


def unscored_exams(engine: Engine, model: str, at_a_time: int = AT_A_TIME) -> Iterator[UnscoredExam]:
    """All of a model, in the order they were found; some at a time, because there may be very many."""
    last = 0
    while page := _page(engine, model, last, at_a_time):
        yield from map(_unscored, page)
        last = page[-1].id


def _page(engine: Engine, model: str, after: int, count: int) -> Sequence[Any]:
    refused = col(Scoring.state) == ScoringState.REFUSED
    held = (col(Scoring.state) == ScoringState.QUEUED) & col(Scoring.problem).is_not(None)
    query = (
        select(
            col(Scoring.id),
            col(Scoring.state),
            col(Scoring.problem),
            col(Scoring.exclusions),
            col(Exam.ehr),
            col(Exam.patient_id),
            col(Exam.performed_on),
            col(Exam.study_uid),
            col(Exam.accession_number),
        )
        .join(Exam, col(Exam.id) == col(Scoring.exam_id))
        .where(col(Scoring.model) == model, refused | held, col(Exam.listed), col(Scoring.id) > after)
        .order_by(col(Scoring.id))
        .limit(count)
    )
    with engine.connect() as connection:
        return connection.execute(query).all()


def _unscored(row: Any) -> UnscoredExam:
    is_refused = row.state == ScoringState.REFUSED
    told = [one["sentence"] for one in row.exclusions] or [NO_REASON] if is_refused else [row.problem]
    return UnscoredExam(
        row.ehr,
        row.patient_id,
        row.performed_on,
        row.study_uid,
        row.accession_number,
        ScoringState.REFUSED if is_refused else HELD,
        tuple(dict.fromkeys(told)),
    )
