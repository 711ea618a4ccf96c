"""The trail of what was done with patients' data, written in the transaction that does it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import SessionTransaction
from sqlmodel import Session, SQLModel

from cds.errors import MammoTrendError
from cds.store.audit_chain import EMPTY, Fault, Head, Row, canonical, chained, fault_in
from cds.store.tables import Audit, AuditHead
from fhir_mappings.access_events import AccessEvent, AccessOutcome, Action, Read, ReadFrom, WebCall

__all__ = [
    "AccessEvent",
    "AccessOutcome",
    "Action",
    "AuditTrail",
    "Entry",
    "EntryUnreadable",
    "Read",
    "ReadFrom",
    "Verified",
    "WebCall",
    "note",
]

AT_A_TIME = 1000
LONGEST_USER_ID = 256
_HOOK_INSTANCE = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
_NOTED = "audit"
# As tables, because the rows of a trail are no objects that change.
_TRAIL, _HEAD = (SQLModel.metadata.tables[str(table.__tablename__)] for table in (Audit, AuditHead))

_RAISE_HEAD = (
    _HEAD.update().values(number=_HEAD.c.number + sa.bindparam("entries")).returning(_HEAD.c.number, _HEAD.c.digest)
)
_ADD = _TRAIL.insert()
_SEAL_HEAD = _HEAD.update().values(digest=sa.bindparam("last"))


@dataclass(frozen=True)
class Entry:
    """One entry of the trail. `written` is what its digest is the SHA-256 of."""

    number: int
    digest: str
    written: str = field(repr=False)
    event: AccessEvent


@dataclass(frozen=True)
class Verified:
    """The last entry up to which the trail is as it was written, and what is wrong after it."""

    head: Head
    fault: Fault | None = None


class EntryUnreadable(MammoTrendError):
    """An entry of the trail is not as any program of ours writes them."""


def note(session: Session, event: AccessEvent) -> None:
    """Add an entry to the trail; it is there if, and only if, the session's transaction is."""
    if not session.in_transaction():
        session.begin()  # else a rollback would find nothing to end, and the entry would go with the next commit
    session.info.setdefault(_NOTED, []).append(event)


@sa.event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    """Chain what was noted."""
    noted: list[AccessEvent] = session.info.pop(_NOTED, [])
    if noted:
        session.flush()
        append(session.connection(), noted)


def append(connection: sa.Connection, events: Sequence[AccessEvent]) -> None:
    """Chain entries to the trail, as the last thing before the commit.

    The head is the one row that every writer locks: taken after all others, it can make nobody wait for ever. Raising
    its number both locks and reads it, on SQLite too, whose driver begins no transaction with a SELECT.
    """
    if not events:
        return
    rows = [_row(event) for event in events]
    number, digest = connection.execute(_RAISE_HEAD, {"entries": len(rows)}).one()
    entries = list(chained(rows, Head(number - len(rows), digest)))
    connection.execute(_ADD, entries)
    connection.execute(_SEAL_HEAD, {"last": entries[-1]["digest"]})


@sa.event.listens_for(Session, "after_transaction_end")
def _forget(session: Session, transaction: SessionTransaction) -> None:
    """What was noted in a transaction that came to nothing was not done."""
    if transaction.parent is None:
        session.info.pop(_NOTED, None)


class AuditTrail:
    """The audit trail of one database. Safe for several threads and processes."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(self, event: AccessEvent) -> None:
        """Add an entry for something that changes nothing else in the store."""
        with Session(self._engine) as session:
            note(session, event)
            session.commit()

    def entries(
        self, *, since: datetime | None = None, ehr: str | None = None, patient_id: str | None = None
    ) -> Iterator[Entry]:
        """The entries in their order, of any length: all, or those since a moment, of an EHR, of a patient.

        Raises EntryUnreadable at one that this program did not write so.
        """
        wanted = [_TRAIL.c.at >= since] if since else []
        wanted += [_TRAIL.c.ehr == ehr] if ehr is not None else []
        wanted += [_TRAIL.c.patient_id == patient_id] if patient_id is not None else []
        last = 0
        try:
            for row in self._rows(wanted):
                yield Entry(row["number"], row["digest"], canonical(row), _event(row))
                last = row["number"]
        except (KeyError, TypeError, ValueError, RecursionError):
            raise EntryUnreadable(
                f"what comes after entry {last} of the audit trail cannot be read; run `mammotrend audit verify`"
            ) from None

    def verify(self, expected: Head = EMPTY) -> Verified:
        """Go through the whole trail, of any length: it must lead to its head, by way of the `expected` entry."""
        # The head is read first: entries that are added meanwhile are behind it, and not looked at.
        heads = self._heads()
        if len(heads) != 1:
            wrong = "has several heads, of which one says" if heads else "has lost its head, which says"
            return Verified(EMPTY, Fault(1, f"the trail {wrong} how far it goes"))
        (head,) = heads
        walked = self._walk(head, expected)
        return walked if walked.fault else replace(walked, fault=self._fault_at_end(walked.head, head, expected))

    def _walk(self, head: Head, expected: Head) -> Verified:
        last = EMPTY
        try:
            for row in self._rows([_TRAIL.c.number <= head.number]):
                fault = fault_in(row, last) or _unexpected(row, expected)
                if fault:
                    return Verified(last, fault)
                last = Head(row["number"], row["digest"])
        except (ValueError, TypeError, RecursionError):  # a moment or a JSON text that is none
            return Verified(last, Fault(last.number + 1, "it cannot be read"))
        return Verified(last)

    def _fault_at_end(self, last: Head, head: Head, expected: Head) -> Fault | None:
        if last.number < max(head.number, expected.number):
            return Fault(last.number + 1, "it is missing")
        if last.digest != head.digest:
            return Fault(last.number, "it is not the one that the head of the trail names")
        stray = self._first_behind_head()
        return None if stray is None else Fault(stray, "it was put in: the head of the trail does not know it")

    def _heads(self) -> list[Head]:
        with self._engine.connect() as connection:
            return [Head(*found) for found in connection.execute(sa.select(_HEAD.c.number, _HEAD.c.digest))]

    def _first_behind_head(self) -> int | None:
        # One statement, because entries are being added.
        known = sa.select(_HEAD.c.number).scalar_subquery()
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.min(_TRAIL.c.number)).where(_TRAIL.c.number > known)).scalar()

    def _rows(self, which: Sequence[sa.ColumnElement[bool]]) -> Iterator[Row]:
        """Some at a time, each in its own short transaction: a trail may have millions."""
        after: tuple[sa.ColumnElement[bool], ...] = ()
        count = AT_A_TIME
        while count == AT_A_TIME:
            count = 0
            page = sa.select(_TRAIL).where(*which, *after).order_by(_TRAIL.c.number).limit(AT_A_TIME)
            with self._engine.connect() as connection:
                for row in connection.execute(page).mappings():
                    count, after = count + 1, (_TRAIL.c.number > row["number"],)
                    yield dict(row)


def _unexpected(row: Row, expected: Head) -> Fault | None:
    is_another = row["number"] == expected.number and row["digest"] != expected.digest
    return Fault(expected.number, "it is not the entry that was noted down") if is_another else None


def _row(event: AccessEvent) -> dict[str, Any]:
    user_id = event.user_id or ""
    return {
        "at": event.at,
        "action": event.action.value,
        "outcome": event.outcome.value,
        "ehr": event.ehr,
        "patient_id": event.patient_id,
        "study_uid": event.study_uid,
        # Texts of the caller's own: a NUL or half a surrogate pair would stop the database, and with it the answer.
        "user_id": user_id if 0 < len(user_id) <= LONGEST_USER_ID and user_id.isprintable() else None,
        "call": _call_json(event.call) if event.call else None,
        "detail": event.detail,
    }


def _call_json(call: WebCall) -> dict[str, Any]:
    usable = _HOOK_INSTANCE.fullmatch(call.hook_instance or "")
    # Not `asdict`, which copies what needs no copy: every call is written down.
    told = {each.name: getattr(call, each.name) for each in fields(call)}
    told["hook_instance"] = call.hook_instance if usable else None
    told["reads"] = [{"template": read.template, "source": read.source.value} for read in call.reads]
    return {name: value for name, value in told.items() if value is not None}


def _event(row: Row) -> AccessEvent:
    return AccessEvent(
        Action(row["action"]),
        row["at"],
        row["ehr"],
        row["patient_id"],
        row["study_uid"],
        row["detail"],
        AccessOutcome(row["outcome"]),
        row["user_id"],
        _call(row["call"]) if row["call"] else None,
    )


def _call(told: dict[str, Any]) -> WebCall:
    reads = tuple(Read(read["template"], ReadFrom(read["source"])) for read in told["reads"])
    return WebCall(**{**told, "reads": reads})
