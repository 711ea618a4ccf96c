"""How long what has failed waits for its next attempt, in the scoring queue and in the outbox."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select
from sqlmodel import col

from cds.store.tables import Outbox, Scoring

FIRST_RETRY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(hours=6)


def wait_after(attempts: int) -> timedelta:
    """The wait after so many failed attempts, at least one: it doubles up to six hours."""
    return min(FIRST_RETRY * (1 << min(attempts - 1, 20)), LONGEST_RETRY)


def due_parts(queue: type[Scoring | Outbox], by: datetime, now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Due by a moment, or so far ahead that only a clock that has since been put back can have said so."""
    return col(queue.due_at) <= by, col(queue.due_at) > now + 2 * LONGEST_RETRY


def longest_due(
    these: Select[Any], queue: type[Scoring | Outbox], by: datetime, now: datetime
) -> list[ScalarSelect[Any]]:
    """Questions for the one that is due longest and that nobody else is taking, to be asked until one is answered.

    Not one question: over both parts no index has an order, and every row that waits would be read and sorted.
    """
    ordered = these.order_by(col(queue.due_at), col(queue.id)).limit(1).with_for_update(skip_locked=True, of=queue)
    return [ordered.where(part).scalar_subquery() for part in due_parts(queue, by, now)]
