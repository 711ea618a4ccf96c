"""How much waits, and how much came to nothing: errands of scoring, and letters to charts and archives."""

from __future__ import annotations

from sqlalchemy import Engine, case, func
from sqlmodel import Session, col, select

from cds.store.tables import Outbox, Scoring, ScoringState

HELD = "held"
"""Queued, and its last attempt failed: its problem keeps it from a score."""


def count_errands(engine: Engine, model: str) -> dict[str, int]:
    """The exams of a model by where they are on their way to a score: as ScoringState has it, or held."""
    is_held = (col(Scoring.state) == ScoringState.QUEUED) & col(Scoring.problem).is_not(None)
    state = case((is_held, HELD), else_=col(Scoring.state))
    query = select(state, func.count()).where(Scoring.model == model).group_by(state)
    with Session(engine) as session:
        return {str(found): count for found, count in session.exec(query)}


def count_letters(engine: Engine) -> dict[tuple[str, str], int]:
    """What is to be written outside, by destination and state (as OutboxState has it)."""
    query = select(Outbox.destination, Outbox.state, func.count()).group_by(col(Outbox.destination), col(Outbox.state))
    with Session(engine) as session:
        return {(str(destination), str(state)): count for destination, state, count in session.exec(query)}
