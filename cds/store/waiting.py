"""How long what has failed waits for its next attempt, in the scoring queue and in the outbox."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Mapped

FIRST_RETRY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(hours=6)


def wait_after(attempts: int) -> timedelta:
    """The wait after so many failed attempts, at least one: it doubles up to six hours."""
    return min(FIRST_RETRY * (1 << min(attempts - 1, 20)), LONGEST_RETRY)


def is_due(due_at: Mapped[datetime], by: datetime, now: datetime) -> ColumnElement[bool]:
    """Due by a moment, or so far ahead that only a clock that has since been put back can have said so."""
    return (due_at <= by) | (due_at > now + 2 * LONGEST_RETRY)
