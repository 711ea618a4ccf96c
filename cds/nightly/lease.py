"""What only one process may do at a time: held by a lease in the database, which ends by itself with its holder."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from cds.store.runs import RunRecords

log = logging.getLogger(__name__)

LENGTH = timedelta(minutes=5)
"""How long others wait for a holder that was killed."""


def holder_name() -> str:
    """A name that no other process has, by which an administrator finds this one."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


@contextmanager
def held(
    runs: RunRecords, name: str, holder: str, now: Callable[[], datetime], length: timedelta = LENGTH
) -> Iterator[bool]:
    """Whether the lease could be had; it is kept while the block runs, and given up at its end."""
    if not runs.take_lease(name, holder, now(), length):
        yield False
        return
    done = threading.Event()
    keeper = threading.Thread(target=_keep, args=(runs, name, holder, now, length, done), daemon=True)
    keeper.start()
    try:
        yield True
    finally:
        done.set()
        keeper.join()
        runs.give_up_lease(name, holder, now())


def _keep(
    runs: RunRecords,
    name: str,
    holder: str,
    now: Callable[[], datetime],
    length: timedelta,
    done: threading.Event,
) -> None:
    while not done.wait(length.total_seconds() / 3):
        try:
            if not runs.take_lease(name, holder, now(), length):
                log.error("the lease %r was lost to another process", name)
        except SQLAlchemyError as fault:
            log.error("the lease %r could not be kept: %s", name, type(fault).__name__)
