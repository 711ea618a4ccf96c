"""What is on its way to the systems outside: claimed, delivered, tried again, given up."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, or_, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select

from cds.store.audit import AccessEvent, Action, note
from cds.store.tables import Assessment, Destination, Outbox, OutboxState
from cds.store.waiting import due_parts, longest_due, wait_after

MOST_ATTEMPTS = 20
"""About four days of a system that does not answer; after that somebody has to look."""


@dataclass(frozen=True)
class Arrived:
    """A revision of an assessment that reached its destination, and its reference there; None where that has none."""

    revision: int
    reference: str | None = field(repr=False)


@dataclass(frozen=True)
class Delivery:
    """One claimed delivery: what is to be written, and where to. `arrived` is what did so before, oldest first."""

    id: int
    destination: Destination
    attempts: int
    ehr: str
    patient_id: str = field(repr=False)
    study_uid: str = field(repr=False)
    model: str
    identifier: str = field(repr=False)
    revision: int
    resource: dict[str, Any] = field(repr=False)
    arrived: tuple[Arrived, ...] = ()


@dataclass(frozen=True)
class Letter:
    """One row of the outbox as it is listed: nothing that names a patient."""

    id: int
    destination: Destination
    ehr: str
    state: OutboxState
    attempts: int
    queued_at: datetime
    due_at: datetime
    problem: str | None


class OutboxRecords:
    """The outbox of one database. Safe for several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def claim(self, now: datetime, lease: timedelta) -> Delivery | None:
        """Take the delivery that is due longest; None when nothing is.

        While one revision of an assessment is being delivered no other one of it is handed out: two at once could
        make two resources of one, or leave the older one on top.
        """
        other, other_kept = aliased(Outbox), aliased(Assessment)
        under_way = (
            select(other.id)
            .join(other_kept, col(other_kept.id) == other.assessment_id)
            .where(
                other_kept.ehr == Assessment.ehr,
                other_kept.identifier == Assessment.identifier,
                other.destination == Outbox.destination,
                col(other.claimed_until) > now,
                # Longer claims are of a clock that has since been put back, as those that are due too far ahead.
                col(other.claimed_until) <= now + 2 * lease,
            )
            .correlate(Outbox, Assessment)
            .exists()
        )
        waiting = (
            select(Outbox.id)
            .join(Assessment, col(Assessment.id) == Outbox.assessment_id)
            .where(Outbox.state == OutboxState.QUEUED, ~under_way)
        )
        claim = (
            update(Outbox)
            .where(col(Outbox.id) == func.coalesce(*longest_due(waiting, Outbox, now, now)))
            .values(claimed_until=now + lease, due_at=now + lease, attempts=col(Outbox.attempts) + 1)
            .returning(col(Outbox.id))
        )
        with Session(self._engine) as session:
            letter_id = session.execute(claim).scalar_one_or_none()
            session.commit()
            return _delivery(session, letter_id) if letter_id is not None else None

    def delivered(self, delivery: Delivery, reference: str | None, now: datetime) -> None:
        """Close a delivery; `reference` is the resource that the EHR made of it, or the report's UID."""
        self._repeat_last(delivery, now)
        with Session(self._engine) as session:
            if reference:  # also of what was overtaken meanwhile: it is there now
                session.execute(update(Outbox).where(_is_mine(delivery)).values(reference=reference))
            _change(session, delivery, state=OutboxState.DELIVERED, reference=reference, problem=None, finished_at=now)
            note(session, _brought(delivery, now))
            session.commit()

    def failed(
        self, delivery: Delivery, problem: str, now: datetime, *, wait: timedelta | None = None, final: bool = False
    ) -> None:
        """Have a delivery tried again later, at the earliest after `wait`; or, if `final`, only when somebody asks."""
        doubled = wait_after(delivery.attempts)
        gives_up = final or delivery.attempts >= MOST_ATTEMPTS
        values: dict[str, Any] = {"state": OutboxState.DEAD, "finished_at": now} if gives_up else {}
        self._repeat_last(delivery, now)
        with Session(self._engine) as session:
            _change(session, delivery, problem=problem, due_at=now + max(doubled, wait or doubled), **values)
            session.commit()

    def _repeat_last(self, delivery: Delivery, now: datetime) -> None:
        """Deliver the newest revision once more, where another sender had it while this one was still writing.

        A sender that was slower than its lease may have written after the other one looked. Counted as an attempt,
        which takes it from a sender that has it now; not due before that one's lease ends. In a transaction of its
        own, and before the delivery is closed: no two letters are locked at once, and nobody who is ended between the
        two leaves it out.
        """
        its = and_(_of_same(delivery), col(Outbox.state) != OutboxState.OVERTAKEN)
        newest = select(Outbox.id).join(Assessment, col(Assessment.id) == Outbox.assessment_id).where(its)
        was_taken = (col(Outbox.state) == OutboxState.DELIVERED) | (
            (col(Outbox.state) == OutboxState.QUEUED) & col(Outbox.claimed_until).is_not(None)
        )
        again = {
            "state": OutboxState.QUEUED,
            "due_at": func.coalesce(col(Outbox.claimed_until), now),
            "attempts": col(Outbox.attempts) + 1,
            "finished_at": None,
        }
        with Session(self._engine) as session:
            if session.exec(select(Outbox.id).where(_is_held(delivery))).first() is None:
                last = newest.order_by(col(Assessment.revision).desc()).limit(1).scalar_subquery()
                session.execute(update(Outbox).where(col(Outbox.id) == last, was_taken).values(again))
            session.commit()

    def put_off(self, delivery: Delivery, until: datetime) -> None:
        """Have what goes the same way as a delivery wait until a moment: whoever does not answer one, answers none."""
        same = select(Assessment.id).where(Assessment.id == Outbox.assessment_id, Assessment.ehr == delivery.ehr)
        waiting = (col(Outbox.state) == OutboxState.QUEUED) & col(Outbox.claimed_until).is_(None)
        these = waiting & (col(Outbox.destination) == delivery.destination) & same.correlate(Outbox).exists()
        with Session(self._engine) as session:
            session.execute(update(Outbox).where(these, col(Outbox.due_at) < until).values(due_at=until))
            session.commit()

    def retry(self, now: datetime, ids: Collection[int] = ()) -> int:
        """Try what was given up, or is waiting for its next attempt, at once: these, or all. How many there were."""
        waiting = col(Outbox.state).in_([OutboxState.DEAD, OutboxState.QUEUED]) & col(Outbox.claimed_until).is_(None)
        which = waiting & col(Outbox.id).in_(ids) if ids else waiting
        values: dict[str, Any] = {"state": OutboxState.QUEUED, "due_at": now, "attempts": 0, "finished_at": None}
        with Session(self._engine) as session:
            changed = session.execute(update(Outbox).where(which).values(values))
            session.commit()
            return int(changed.rowcount)  # type: ignore[attr-defined] # an UPDATE's result is a CursorResult

    def letters(self, states: Sequence[OutboxState]) -> list[Letter]:
        """What is in one of these states, oldest first."""
        query = (
            select(Outbox, Assessment.ehr)
            .join(Assessment, col(Assessment.id) == Outbox.assessment_id)
            .where(col(Outbox.state).in_(states))
        )
        with Session(self._engine) as session:
            letters = [_letter(row, ehr) for row, ehr in session.exec(query).all()]
        # Not by the database: SQLite would read every letter there is in that order.
        return sorted(letters, key=lambda letter: letter.id)

    def count_written(self, model: str, since: datetime) -> int:
        """How many assessments by a model were brought into charts since a moment."""
        # Not joined: SQLite would begin with all assessments by the model.
        made_by = select(Assessment.model).where(Assessment.id == Outbox.assessment_id).correlate(Outbox)
        query = select(func.count()).where(
            Outbox.state == OutboxState.DELIVERED,
            Outbox.destination == Destination.CHART,
            col(Outbox.finished_at) >= since,
            made_by.scalar_subquery() == model,
        )
        with Session(self._engine) as session:
            return session.exec(query).one()

    def is_anything_due(self, now: datetime) -> bool:
        """Whether a delivery could be made now."""
        due = or_(*due_parts(Outbox, now, now))
        query = select(Outbox.id).where(Outbox.state == OutboxState.QUEUED, due).limit(1)
        with Session(self._engine) as session:
            return session.exec(query).first() is not None


def _delivery(session: Session, letter_id: int) -> Delivery:
    query = select(Outbox, Assessment).join(Assessment, col(Assessment.id) == Outbox.assessment_id)
    letter, kept = session.exec(query.where(Outbox.id == letter_id)).one()
    delivery = Delivery(
        letter_id,
        Destination(letter.destination),
        letter.attempts,
        kept.ehr,
        kept.patient_id,
        kept.study_uid,
        kept.model,
        kept.identifier,
        kept.revision,
        kept.resource,
    )
    return replace(delivery, arrived=tuple(_arrived(session, delivery)))


def _arrived(session: Session, delivery: Delivery) -> Iterator[Arrived]:
    is_there = (col(Outbox.state) == OutboxState.DELIVERED) | col(Outbox.reference).is_not(None)
    query = (
        select(Assessment.revision, Outbox.reference)
        .join(Outbox, col(Outbox.assessment_id) == Assessment.id)
        .where(_of_same(delivery), is_there)
    )
    for revision, reference in session.exec(query.order_by(col(Assessment.revision))).all():
        yield Arrived(revision, reference)


def _of_same(delivery: Delivery) -> ColumnElement[bool]:
    """The letters of all revisions of an assessment to the same destination."""
    same = (col(Assessment.ehr) == delivery.ehr) & (col(Assessment.identifier) == delivery.identifier)
    return same & (col(Outbox.destination) == delivery.destination)


def _brought(delivery: Delivery, now: datetime) -> AccessEvent:
    action = Action.WRITTEN if delivery.destination is Destination.CHART else Action.REPORTED
    said = f"revision {delivery.revision}"
    return AccessEvent(action, now, delivery.ehr, delivery.patient_id, delivery.study_uid, said)


def _letter(row: Outbox, ehr: str) -> Letter:
    return Letter(
        row.id or 0,
        Destination(row.destination),
        ehr,
        OutboxState(row.state),
        row.attempts,
        row.queued_at,
        row.due_at,
        row.problem,
    )


def _change(session: Session, delivery: Delivery, **values: Any) -> None:
    """Close a claim. What was overtaken meanwhile, or claimed by another once the lease ended, stays as it is."""
    session.execute(update(Outbox).where(_is_mine(delivery)).values(claimed_until=None))
    session.execute(update(Outbox).where(_is_held(delivery)).values(values))


def _is_mine(delivery: Delivery) -> ColumnElement[bool]:
    """The delivery's letter, unless another sender has claimed it since."""
    return (col(Outbox.id) == delivery.id) & (col(Outbox.attempts) == delivery.attempts)


def _is_held(delivery: Delivery) -> ColumnElement[bool]:
    """The delivery's letter, unless it was overtaken since, or another sender has claimed it."""
    return _is_mine(delivery) & (col(Outbox.state) == OutboxState.QUEUED)
