"""Remembering exams as EHRs refer to them, and queueing those that a model has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Engine, update
from sqlmodel import Session, col, select

from cds.store.database import insert_into
from cds.store.tables import Exam, Scoring, ScoringState

_CORRECTABLE = ("accession_number", "imaging_study", "performed_on", "dicomweb_root", "patient_identifiers")
_SCORING_ASKS_FOR = frozenset({"performed_on", "dicomweb_root", "patient_identifiers"})


@dataclass(frozen=True)
class NewExam:
    """An exam as an EHR refers to it. `patient_identifiers` is what its images may carry as PatientID."""

    ehr: str
    patient_id: str
    study_uid: str
    accession_number: str | None = None
    imaging_study: str | None = None
    performed_on: date | None = None
    dicomweb_root: str | None = None
    patient_identifiers: tuple[str, ...] = field(default=(), repr=False)


Known = dict[tuple[str, str], tuple[Exam, Scoring | None]]


def register(engine: Engine, exams: Sequence[NewExam], model: str, now: datetime, *, urgent: bool) -> None:
    """Remember exams, take over what their EHR says better now, and queue those that `model` has not seen."""
    if not exams:
        return
    # A look before the write: the usual call finds everything there and takes no lock.
    known = _known(engine, exams, model)
    news = [exam for exam in exams if _is_news(exam, known, urgent)]
    if not news:
        return
    with Session(engine) as session:
        # In one order everywhere, or two calls for the same exams could wait for each other for ever.
        for exam in sorted(news, key=lambda new: (new.ehr, new.study_uid)):
            _put(session, exam, model, now, urgent)
        session.commit()


def _known(engine: Engine, exams: Sequence[NewExam], model: str) -> Known:
    query = (
        select(Exam, Scoring)
        .join(Scoring, (col(Scoring.exam_id) == Exam.id) & (col(Scoring.model) == model), isouter=True)
        .where(col(Exam.study_uid).in_({exam.study_uid for exam in exams}))
    )
    with Session(engine) as session:
        return {(exam.ehr, exam.study_uid): (exam, scoring) for exam, scoring in session.exec(query).all()}


def _is_news(exam: NewExam, known: Known, urgent: bool) -> bool:
    if (exam.ehr, exam.study_uid) not in known:
        return True
    row, scoring = known[exam.ehr, exam.study_uid]
    if row.patient_id != exam.patient_id:
        return False
    if scoring is None or _corrections(row, exam):
        return True
    return urgent and scoring.state == ScoringState.QUEUED and not scoring.urgent


def _put(session: Session, exam: NewExam, model: str, now: datetime, urgent: bool) -> None:
    session.execute(insert_into(session, Exam).values(_values(exam, now)).on_conflict_do_nothing())
    this = select(Exam).where(Exam.ehr == exam.ehr, Exam.study_uid == exam.study_uid)
    row = session.exec(this.with_for_update()).one()
    if row.patient_id != exam.patient_id:
        return
    corrections = _corrections(row, exam)
    if corrections:
        _reopen(session, row, corrections, now)
    for name, value in corrections.items():
        setattr(row, name, value)
    session.flush()
    _queue(session, row, model, now, urgent)


def _values(exam: NewExam, now: datetime) -> dict[str, Any]:
    return {**asdict(exam), "patient_identifiers": list(exam.patient_identifiers), "first_seen_at": now}


def _corrections(row: Exam, exam: NewExam) -> dict[str, Any]:
    """What the EHR says now and did not say before; that it now says nothing takes nothing away."""
    said = {**asdict(exam), "patient_identifiers": list(exam.patient_identifiers)}
    return {name: said[name] for name in _CORRECTABLE if said[name] and said[name] != getattr(row, name)}


def _reopen(session: Session, row: Exam, corrections: dict[str, Any], now: datetime) -> None:
    """A queued, held or refused exam is tried again at once with what was corrected.

    A score is looked at again only where its images could not be compared with the patient at the time. The attempt
    is counted, which takes the exam from a worker that has it under the old particulars.
    """
    states = [ScoringState.QUEUED, ScoringState.REFUSED]
    if "patient_identifiers" in corrections and not row.patient_identifiers:
        states.append(ScoringState.SCORED)
    if not corrections.keys() & _SCORING_ASKS_FOR:
        return
    queued: dict[str, Any] = {"state": ScoringState.QUEUED, "problem": None, "finished_at": None, "exclusions": []}
    session.execute(
        update(Scoring)
        .where(col(Scoring.exam_id) == row.id, col(Scoring.state).in_(states))
        .values(**queued, due_at=now, attempts=col(Scoring.attempts) + 1)
    )


def _queue(session: Session, row: Exam, model: str, now: datetime, urgent: bool) -> None:
    """Every EHR's exam goes through the worker, also where the study has a score: the patient is checked there."""
    values: dict[str, Any] = {
        "exam_id": row.id,
        "model": model,
        "state": ScoringState.QUEUED,
        "urgent": urgent,
        "queued_at": now,
        "due_at": now,
        "attempts": 0,
        "exclusions": [],
    }
    insert = insert_into(session, Scoring).values(values)
    if urgent:
        keys = ["exam_id", "model"]
        session.execute(insert.on_conflict_do_update(index_elements=keys, set_={"urgent": True}))
    else:
        session.execute(insert.on_conflict_do_nothing())
