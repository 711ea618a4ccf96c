"""How much waits, and how much came to nothing: errands of scoring, and letters to charts and archives."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, case, func
from sqlmodel import Session, col, select

from cds.store.tables import Outbox, Priority, Scoring, ScoringState

HELD = "held"
"""Queued, and its last attempt failed: its problem keeps it from a score."""
BACKLOG = "backlog"
"""Queued because the model is new, and neither held nor asked for: it may take weeks."""
NO_REASON = "no reason recorded"
# Grouped by its name: PostgreSQL does not see that two expressions with parameters are the same.
_GROUP = "counted_by"


def count_errands(engine: Engine, model: str) -> dict[str, int]:
    """The exams of a model by where they are on their way to a score: as ScoringState has it, or held, or backlog."""
    is_queued = col(Scoring.state) == ScoringState.QUEUED
    is_held, is_backlog = col(Scoring.problem).is_not(None), col(Scoring.priority) == Priority.BACKLOG
    places = ((is_queued & is_held, HELD), (is_queued & is_backlog, BACKLOG))
    place = case(*places, else_=col(Scoring.state)).label(_GROUP)
    query = select(place, func.count()).where(Scoring.model == model).group_by(_GROUP)
    with Session(engine) as session:
        return {str(found): count for found, count in session.exec(query)}


def count_refusals(engine: Engine, model: str) -> dict[str, int]:
    """The exams that a model could not score, by the first reason, as in a run's summary."""
    reason = func.coalesce(col(Scoring.exclusions)[(0, "reason")].as_string(), NO_REASON).label(_GROUP)
    query = (
        select(reason, func.count())
        .where(Scoring.model == model, Scoring.state == ScoringState.REFUSED)
        .group_by(_GROUP)
    )
    with Session(engine) as session:
        return {str(found): count for found, count in session.exec(query)}


def oldest_queued_at(engine: Engine, model: str) -> datetime | None:
    """Since when the exam that has waited longest has been queued; None where none waits.

    Neither those that are held count, nor the backlog of a new model.
    """
    is_next = (Scoring.priority != Priority.BACKLOG, col(Scoring.problem).is_(None))
    waits = (Scoring.model == model, Scoring.state == ScoringState.QUEUED, *is_next)
    with Session(engine) as session:
        return session.exec(select(func.min(col(Scoring.queued_at))).where(*waits)).one()


def count_letters(engine: Engine) -> dict[tuple[str, str], int]:
    """What is to be written outside, by destination and state (as OutboxState has it)."""
    query = select(Outbox.destination, Outbox.state, func.count()).group_by(col(Outbox.destination), col(Outbox.state))
    with Session(engine) as session:
        return {(str(destination), str(state)): count for destination, state, count in session.exec(query)}
