"""The scoring queue: what is put into it, what comes forward in it, what is put back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Engine, String, case, cast, update
from sqlmodel import Session, col, select

from cds.store.database import insert_into
from cds.store.known_exams import StoredErrand
from cds.store.tables import Exam, Priority, Scoring, ScoringState
from model.domain import ExclusionReason

AT_A_TIME = 1000
PATIENTS_AT_A_TIME = 100
SHORTEST_WAIT = timedelta(minutes=1)
"""An exam whose last attempt failed is not tried again before this, however often it is asked for."""
LEASE = timedelta(minutes=3)
"""How long a claimed exam stays with a worker that gives no sign of life."""
MOST_LOST = 3
"""An exam at which so many workers ended in a row is not tried again sooner because somebody asks for it."""


def queue(session: Session, exam_ids: Sequence[int], model: str, now: datetime, priority: Priority) -> int:
    """Queue exams for a model; those that it has an errand for already stay as they are, unless this is urgent.

    Returns how many were queued.
    Every EHR's exam goes through the worker, also where the study has a score: the patient is checked there.
    """
    values = {
        "model": model,
        "state": ScoringState.QUEUED,
        "priority": priority,
        "queued_at": now,
        "due_at": now,
        "attempts": 0,
        "lost": 0,
        "exclusions": [],
    }
    rows = [{"exam_id": exam_id, **values} for exam_id in exam_ids]
    queued = session.execute(insert_into(session, Scoring).values(rows).on_conflict_do_nothing())
    if priority is Priority.URGENT:
        these = col(Scoring.exam_id).in_(exam_ids) & (col(Scoring.model) == model)
        session.execute(update(Scoring).where(these).values(priority=priority))
        # Somebody asks for it, and its fault may be repaired by now.
        session.execute(update(Scoring).where(these & is_waiting(now) & _is_rested(now)).values(due_at=now))
    return int(queued.rowcount)  # type: ignore[attr-defined] # an INSERT's result is a CursorResult


def queue_known(engine: Engine, which: ColumnElement[bool], model: str, now: datetime) -> int:
    """Queue those of the known exams that a model has no errand for; how many those were.

    Behind all others, but for those of patients who have something new waiting for the model.
    """
    queued, last = 0, 0
    while ids := _unseen(engine, which, model, last):
        with Session(engine) as session:
            queued += queue(session, ids, model, now, Priority.BACKLOG)
            session.commit()
        last = ids[-1]
    # Also where nothing was: a run that was ended in between may have left them.
    bring_forward(engine, _patients_with_news(engine, which, model), model)
    return queued


def _unseen(engine: Engine, which: ColumnElement[bool], model: str, last: int) -> list[int]:
    """Some at a time: a whole archive in one transaction would keep every hook waiting."""
    seen = select(Scoring.id).where(Scoring.exam_id == Exam.id, Scoring.model == model).correlate(Exam)
    these = select(Exam.id).where(which, col(Exam.id) > last, ~seen.exists())
    with Session(engine) as session:
        return [found or 0 for found in session.exec(these.order_by(col(Exam.id)).limit(AT_A_TIME)).all()]


def _patients_with_news(engine: Engine, which: ColumnElement[bool], model: str) -> list[tuple[str, str]]:
    """Those who have something new of these exams waiting; nobody where nothing at all is behind it."""
    waits = (Scoring.model == model, Scoring.state == ScoringState.QUEUED)
    behind = select(Scoring.id).where(*waits, Scoring.priority == Priority.BACKLOG).limit(1)
    whose = select(Exam.ehr, Exam.patient_id).join(Scoring, col(Scoring.exam_id) == Exam.id)
    with Session(engine) as session:
        if session.exec(behind).first() is None:
            return []
        news = whose.where(which, *waits, col(Scoring.priority) <= Priority.NEW)
        return list(session.exec(news.distinct()).all())


def bring_forward(engine: Engine, patients: Iterable[tuple[str, str]], model: str) -> None:
    """Have what patients, by EHR and id, have in the backlog scored with what is new of them.

    Her assessment waits for all of a patient's exams.
    """
    for ehr, of_ehr in groupby(sorted(patients), key=itemgetter(0)):
        ids = [patient_id for _, patient_id in of_ehr]
        for first in range(0, len(ids), PATIENTS_AT_A_TIME):
            _bring_forward(engine, ehr, ids[first : first + PATIENTS_AT_A_TIME], model)


def _bring_forward(engine: Engine, ehr: str, patient_ids: Sequence[str], model: str) -> None:
    errands = select(Scoring.id, Scoring.state, Scoring.priority).join(Exam, col(Exam.id) == Scoring.exam_id)
    theirs = errands.where(
        Exam.ehr == ehr, col(Exam.patient_id).in_(patient_ids), col(Exam.listed), Scoring.model == model
    )
    with Session(engine) as session:
        # Chosen here: SQLite would look for theirs among all that are in the backlog.
        ids = [found for found, *why in session.exec(theirs) if why == [ScoringState.QUEUED, Priority.BACKLOG]]
        if ids:
            forward = update(Scoring).where(in_order(col(Scoring.id).in_(ids)))
            session.execute(forward.where(col(Scoring.priority) == Priority.BACKLOG).values(priority=Priority.NEW))
            session.commit()


def queue_refused(
    engine: Engine, which: ColumnElement[bool], model: str, reason: ExclusionReason, now: datetime
) -> int:
    """Queue again, behind all others, those of the known exams that a model refused for this reason; how many."""
    queued, last = 0, 0
    while ids := _refused(engine, which, model, reason, last):
        with Session(engine) as session:
            queued += reopen(session, col(Scoring.id).in_(ids), [ScoringState.REFUSED], now, Priority.BACKLOG)
            session.commit()
        last = ids[-1]
    return queued


def _refused(engine: Engine, which: ColumnElement[bool], model: str, reason: ExclusionReason, last: int) -> list[int]:
    """Some at a time, as above."""
    named = cast(col(Scoring.exclusions), String).contains(f'"{reason}"', autoescape=True)  # as JSON has it
    errands = select(Scoring.id).join(Exam, col(Exam.id) == Scoring.exam_id)
    these = errands.where(which, Scoring.model == model, Scoring.state == ScoringState.REFUSED, named)
    with Session(engine) as session:
        some = these.where(col(Scoring.id) > last).order_by(col(Scoring.id)).limit(AT_A_TIME)
        return [found or 0 for found in session.exec(some).all()]


def reopen(
    session: Session,
    which: ColumnElement[bool],
    states: Sequence[ScoringState],
    now: datetime,
    priority: Priority | None = None,
) -> int:
    """Queue errands again, due at once, that are in one of these states; unless told otherwise new, if not urgent.

    The attempt is counted, which takes the exam from a worker that has it under the old particulars.
    """
    queued: dict[str, Any] = {
        "state": ScoringState.QUEUED,
        "problem": None,
        "finished_at": None,
        "claimed_until": None,
        "exclusions": [],
        "priority": case((col(Scoring.priority) == Priority.BACKLOG, Priority.NEW), else_=col(Scoring.priority)),
        "due_at": now,
        **({} if priority is None else {"priority": priority}),
    }
    these = in_order(which & col(Scoring.state).in_(states))
    changed = session.execute(update(Scoring).where(these).values(**queued, attempts=col(Scoring.attempts) + 1))
    return int(changed.rowcount)  # type: ignore[attr-defined] # an UPDATE's result is a CursorResult


def assess_again(session: Session, ehr: str, patient_id: str) -> None:
    """Have a patient's assessment take all her exams into account once more."""
    hers = select(Exam.id).where(Exam.ehr == ehr, Exam.patient_id == patient_id)
    session.execute(update(Scoring).where(in_order(col(Scoring.exam_id).in_(hers))).values(assessed_at=None))


def in_order(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition for writing several errands, which locks them in the order of their exams.

    In different orders two could wait for each other for ever.
    """
    # Plus nothing: SQLite would read every errand there is in that order.
    these = select(Scoring.id).where(which).order_by(col(Scoring.exam_id) + 0, col(Scoring.id))
    return col(Scoring.id).in_(these.with_for_update())


def is_waiting(now: datetime) -> ColumnElement[bool]:
    """An exam whose next attempt is still to come, and that nobody is at.

    One that was never tried, or is claimed for more than two leases, waits by a clock that has since been put back.
    """
    is_nobodys = col(Scoring.claimed_until).is_(None) | (col(Scoring.claimed_until) > now + 2 * LEASE)
    return is_nobodys & (col(Scoring.state) == ScoringState.QUEUED) & (col(Scoring.due_at) > now)


def _is_rested(now: datetime) -> ColumnElement[bool]:
    ended = col(Scoring.finished_at)
    is_long_ago = (ended <= now - SHORTEST_WAIT) | (ended >= now + SHORTEST_WAIT)
    return (ended.is_(None) | is_long_ago) & (col(Scoring.lost) < MOST_LOST)


def comes_forward(errand: StoredErrand, now: datetime) -> bool:
    """Whether `queue` has a queued exam tried at once that is asked for: the same as it asks of the rows."""
    is_nobodys = errand.claimed_until is None or errand.claimed_until > now + 2 * LEASE
    is_rested = errand.finished_at is None or abs(now - errand.finished_at) >= SHORTEST_WAIT
    return is_nobodys and is_rested and errand.due_at > now and errand.lost < MOST_LOST
