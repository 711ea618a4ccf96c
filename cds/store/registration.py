"""Remembering exams as EHRs refer to them, and queueing those that a model has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, update
from sqlmodel import Session, col, select

from cds.store.database import insert_into
from cds.store.tables import Exam, Scoring, ScoringState

_CORRECTABLE = ("accession_number", "imaging_study", "performed_on", "dicomweb_root", "patient_identifiers")
_SCORING_ASKS_FOR = frozenset({"performed_on", "dicomweb_root", "patient_identifiers"})

SHORTEST_WAIT = timedelta(minutes=1)
"""An exam whose last attempt failed is not tried again before this, however often it is asked for."""


@dataclass(frozen=True)
class NewExam:
    """An exam as an EHR refers to it. `patient_identifiers` is what its images may carry as PatientID.

    `may_move` says that the EHR itself, read just now, files the study under this patient and no other: where it is
    on record for another one, it is moved.
    """

    ehr: str
    patient_id: str
    study_uid: str
    accession_number: str | None = None
    imaging_study: str | None = None
    performed_on: date | None = None
    dicomweb_root: str | None = None
    patient_identifiers: tuple[str, ...] = field(default=(), repr=False)
    may_move: bool = False


Known = dict[tuple[str, str], tuple[Exam, Scoring | None]]


def register(engine: Engine, exams: Sequence[NewExam], model: str, now: datetime, *, urgent: bool) -> None:
    """Remember exams, take over what their EHR says better now, and queue those that `model` has not seen."""
    if not exams:
        return
    # A look before the write: the usual call finds everything there and takes no lock.
    known = _known(engine, exams, model)
    news = [exam for exam in exams if _is_news(exam, known, now, urgent)]
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


def _is_news(exam: NewExam, known: Known, now: datetime, urgent: bool) -> bool:
    if (exam.ehr, exam.study_uid) not in known:
        return True
    row, scoring = known[exam.ehr, exam.study_uid]
    if row.patient_id != exam.patient_id:
        return exam.may_move
    if scoring is None or _corrections(row, exam):
        return True
    if not urgent or scoring.state != ScoringState.QUEUED:
        return False
    waits = scoring.due_at > now and scoring.finished_at is not None and scoring.finished_at <= now - SHORTEST_WAIT
    return waits or not scoring.urgent


def _put(session: Session, exam: NewExam, model: str, now: datetime, urgent: bool) -> None:
    session.execute(insert_into(session, Exam).values(_values(exam, now)).on_conflict_do_nothing())
    this = select(Exam).where(Exam.ehr == exam.ehr, Exam.study_uid == exam.study_uid)
    row = session.exec(this.with_for_update()).one()
    if row.patient_id == exam.patient_id:
        _correct(session, row, exam, now)
    elif exam.may_move:
        _move(session, row, exam, now)
    else:
        return
    session.flush()
    _queue(session, row, model, now, urgent)


def _said(exam: NewExam) -> dict[str, Any]:
    """What the EHR says of an exam, identifiers in one order: EHRs list them now so, now so."""
    said = asdict(exam)
    del said["may_move"]
    return {**said, "patient_identifiers": sorted(set(exam.patient_identifiers))}


def _values(exam: NewExam, now: datetime) -> dict[str, Any]:
    return {**_said(exam), "first_seen_at": now}


def _corrections(row: Exam, exam: NewExam) -> dict[str, Any]:
    """What the EHR says now and did not say before; that it now says nothing takes nothing away."""
    said = _said(exam)
    return {name: said[name] for name in _CORRECTABLE if said[name] and said[name] != getattr(row, name)}


def _correct(session: Session, row: Exam, exam: NewExam, now: datetime) -> None:
    """Take over corrections; a queued, held or refused exam is tried again at once with what scoring asks for.

    A score is looked at again only where its images could not be compared with the patient at the time.
    """
    corrections = _corrections(row, exam)
    states = [ScoringState.QUEUED, ScoringState.REFUSED]
    if "patient_identifiers" in corrections and not row.patient_identifiers:
        states.append(ScoringState.SCORED)
    if corrections.keys() & _SCORING_ASKS_FOR:
        _reopen(session, row, states, now)
    for name, value in corrections.items():
        setattr(row, name, value)


def _move(session: Session, row: Exam, exam: NewExam, now: datetime) -> None:
    """Give a study to the patient under whom its EHR files it now. Nothing said of the other one's stays.

    It is queued whatever it was: a score shows for her only once the worker has compared the images with her.
    """
    _reopen(session, row, list(ScoringState), now)
    said = _said(exam)
    for name in ("patient_id", *_CORRECTABLE):
        setattr(row, name, said[name])


def _reopen(session: Session, row: Exam, states: Sequence[ScoringState], now: datetime) -> None:
    """Queue the exam again, due at once, for every model for which it is in one of these states.

    The attempt is counted, which takes the exam from a worker that has it under the old particulars.
    """
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
    session.execute(insert_into(session, Scoring).values(values).on_conflict_do_nothing())
    if urgent:
        this = (col(Scoring.exam_id) == row.id) & (col(Scoring.model) == model)
        session.execute(update(Scoring).where(this).values(urgent=True))
        # Somebody asks for it, and its fault may be repaired by now.
        rested = this & is_backing_off(now) & (col(Scoring.finished_at) <= now - SHORTEST_WAIT)
        session.execute(update(Scoring).where(rested).values(due_at=now))


def is_backing_off(now: datetime) -> ColumnElement[bool]:
    """An exam whose last attempt failed and whose next one is still to come."""
    failed = col(Scoring.finished_at).is_not(None) & (col(Scoring.state) == ScoringState.QUEUED)
    return failed & (col(Scoring.due_at) > now)
