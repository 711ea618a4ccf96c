"""Clearing away what a site keeps for so many days only, some rows at a time, each time with an entry in the trail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Event
from typing import Any

from sqlalchemy import ColumnElement, Engine, delete
from sqlalchemy.orm import Mapped, aliased
from sqlmodel import Session, SQLModel, col, select

from cds.store.audit import AccessEvent, Action, note
from cds.store.database import lock_before_reading
from cds.store.tables import Arrival, Assessment, Feedback, Outbox, OutboxState, Run, ShownCard

log = logging.getLogger(__name__)

AT_A_TIME = 1000
"""As many rows go in one transaction: hooks wait for it on SQLite."""
LONGEST_PAUSE = timedelta(days=8)
"""Between two runs, of a site that has one a week. After more of it the clock may be ahead, and all looks old."""


class Kind(StrEnum):
    """What may go. All else stays: the trail, exams, why they were refused, scores, assessments."""

    CARDS = "cards"
    ANSWERED_CARDS = "answered cards"
    LETTERS = "letters"
    RUNS = "runs"
    ARRIVALS = "arrivals"


@dataclass(frozen=True)
class _Rows:
    """The rows of a kind: their table, its key, and which of them may go that are from before a moment."""

    table: type[SQLModel]
    key: Mapped[Any]
    may_go: Callable[[datetime], ColumnElement[bool]]


class Retention:
    """What one database keeps for how long; a kind that is not named, for ever."""

    def __init__(self, engine: Engine, kept: Mapping[Kind, timedelta], now: Callable[[], datetime]) -> None:
        self._engine, self._kept, self._now = engine, kept, now

    def clear(self, stop: Event) -> dict[str, int]:
        """Delete what was kept long enough, until `stop` is set; how many rows of each kind that has some.

        None of any where the last run that ended was too long ago: the next one deletes them, if the clock was right.
        """
        last = self._last_run_ended_at()
        if last and self._now() - last > LONGEST_PAUSE:
            log.warning("nothing is cleared away: by this clock the last run ended on %s; see NTP", f"{last:%Y-%m-%d}")
            return {}
        counts = {kind: self._clear(kind, self._now() - kept, stop) for kind, kept in self._kept.items()}
        return {kind.value: count for kind, count in counts.items() if count}

    def _last_run_ended_at(self) -> datetime | None:
        ended = select(Run.finished_at).where(col(Run.finished_at).is_not(None))
        with Session(self._engine) as session:
            return session.exec(ended.order_by(col(Run.id).desc()).limit(1)).first()

    def _clear(self, kind: Kind, before: datetime, stop: Event) -> int:
        cleared, after = 0, None
        while not stop.is_set() and (keys := self._some(_ROWS[kind], before, after)):
            cleared += self._delete(kind, before, keys)
            after = keys[-1]
        return cleared

    def _some(self, rows: _Rows, before: datetime, after: object) -> Sequence[object]:
        """Found without a lock, each row looked at once: most may have to stay."""
        these = select(rows.key).where(rows.may_go(before), *([rows.key > after] if after is not None else []))
        with Session(self._engine) as session:
            return session.exec(these.order_by(rows.key).limit(AT_A_TIME)).all()

    def _delete(self, kind: Kind, before: datetime, keys: Sequence[object]) -> int:
        """Delete those that may still go: a card may have been answered since it was found."""
        rows = _ROWS[kind]
        with Session(self._engine) as session:
            lock_before_reading(session)
            session.exec(select(rows.key).where(rows.key.in_(keys)).order_by(rows.key).with_for_update()).all()
            going = session.exec(select(rows.key).where(rows.key.in_(keys), rows.may_go(before))).all()
            if kind is Kind.ANSWERED_CARDS:
                session.execute(delete(Feedback).where(col(Feedback.card).in_(going)))
            session.execute(delete(rows.table).where(rows.key.in_(going)))
            if going:
                said = f"{len(going)} {kind} from before {before:%Y-%m-%d}"
                note(session, AccessEvent(Action.CLEARED, self._now(), None, None, detail=said))
            session.commit()
        return len(going)


def _is_answered(*when: ColumnElement[bool]) -> ColumnElement[bool]:
    return select(Feedback.id).where(Feedback.card == ShownCard.uuid, *when).correlate(ShownCard).exists()


def _old_cards(before: datetime) -> ColumnElement[bool]:
    return (col(ShownCard.made_at) < before) & ~_is_answered()


def _old_answered_cards(before: datetime) -> ColumnElement[bool]:
    late = _is_answered(col(Feedback.received_at) >= before)
    return (col(ShownCard.made_at) < before) & _is_answered() & ~late


def _replaced_letters(before: datetime) -> ColumnElement[bool]:
    """Letters in whose place a newer revision's arrived: the last one tells what is in the chart, and where."""
    newer, its = aliased(Outbox), aliased(Assessment)
    arrived = (
        select(newer.id)
        .join(its, col(its.id) == newer.assessment_id)
        .where(
            its.ehr == Assessment.ehr,
            its.identifier == Assessment.identifier,
            its.revision > Assessment.revision,
            newer.destination == Outbox.destination,
            newer.state == OutboxState.DELIVERED,
            col(newer.reference).is_not(None) | col(Outbox.reference).is_(None),
        )
        .correlate(Outbox, Assessment)
    )
    replaced = select(Assessment.id).where(Assessment.id == Outbox.assessment_id, arrived.exists()).correlate(Outbox)
    is_over = col(Outbox.state).in_([OutboxState.DELIVERED, OutboxState.OVERTAKEN])
    return is_over & (col(Outbox.queued_at) < before) & replaced.exists()


def _old_runs(before: datetime) -> ColumnElement[bool]:
    """Also those that were killed, but for one that may still be under way: each model has one at a time."""
    newer = aliased(Run)
    later = select(newer.id).where(newer.model == Run.model, col(newer.id) > col(Run.id)).correlate(Run)
    return (col(Run.started_at) < before) & (col(Run.finished_at).is_not(None) | later.exists())


_ROWS = {
    Kind.CARDS: _Rows(ShownCard, col(ShownCard.uuid), _old_cards),
    Kind.ANSWERED_CARDS: _Rows(ShownCard, col(ShownCard.uuid), _old_answered_cards),
    Kind.LETTERS: _Rows(Outbox, col(Outbox.id), _replaced_letters),
    Kind.RUNS: _Rows(Run, col(Run.id), _old_runs),
    Kind.ARRIVALS: _Rows(
        Arrival, col(Arrival.study_uid), lambda before: (col(Arrival.unchanged_since) < before) & col(Arrival.taken)
    ),
}
