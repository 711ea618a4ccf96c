"""One commit for all who wait for one: what many small writes cost is the wait for the disk, and for each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from cds.store.audit import append
from cds.store.database import begin_to_write
from fhir_mappings.access_events import AccessEvent

Result = TypeVar("Result")


class SharedCommit:
    """Short writes of several threads of one process, as few transactions as they allow.

    While one transaction is committed the writes of other threads gather, and whoever comes next commits them all.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = Lock()
        self._waiting: deque[_Write] = deque()

    def write(self, work: Callable[[Connection], Result], *noted: AccessEvent) -> Result:
        """Do the work in a transaction and return when it is committed; raises what the work or the commit raises.

        With it go the entries `noted` in the audit trail, last of all, because everybody who adds to it locks its head.
        The work may be done twice: where a transaction of several fails for what one of them writes, each is tried
        again alone. Where the database does not answer, that is the answer to all.
        """
        mine = _Write(work, noted)
        self._waiting.append(mine)
        with self._turn:
            if not mine.is_done:
                self._commit([mine, *self._others(mine)])
        if mine.error is not None:
            raise mine.error
        result: Result = mine.result
        return result

    def _others(self, mine: _Write) -> list[_Write]:
        """All who wait now, and mine no longer; it may be missing where another thread was ended in its turn."""
        gathered = []
        while self._waiting:
            gathered.append(self._waiting.popleft())
        return [write for write in gathered if write is not mine]

    def _commit(self, writes: list[_Write]) -> None:
        try:
            with self._engine.begin() as connection:
                begin_to_write(connection)
                results = [write.work(connection) for write in writes]
                append(connection, [event for write in writes for event in write.noted])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer to who waits for it
            # One after the other they would wait for the same database, each as long as the first.
            if len(writes) == 1 or isinstance(error, OperationalError | InterfaceError | NoConnectionFree):
                for write in writes:
                    write.error, write.is_done = error, True
            else:
                for write in writes:
                    self._commit([write])
        else:
            for write, result in zip(writes, results, strict=True):
                write.result, write.is_done = result, True


class _Write:
    """What one thread wants written, and what came of it."""

    def __init__(self, work: Callable[[Connection], Any], noted: tuple[AccessEvent, ...]) -> None:
        self.work = work
        self.noted = noted
        self.result: Any = None
        self.error: Exception | None = None
        self.is_done = False
