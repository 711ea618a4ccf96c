"""Worker and clerk of a site at work in threads of their own, as in `mammotrend worker`, while time goes by fast."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

from sqlalchemy.exc import SQLAlchemyError

from tests.faults.site import Site

LONGEST_S = 60.0
STEP = timedelta(minutes=1)


@contextmanager
def working(site: Site) -> Iterator[None]:
    """Both at work while the block runs; a thread that ended before it was told to fails the test."""
    stop = Event()
    threads = [Thread(target=work, args=(stop,)) for work in (site.pipeline().run, site.clerk().run)]
    for thread in threads:
        thread.start()
    try:
        yield
        assert all(thread.is_alive() for thread in threads)
    finally:
        stop.set()
        for thread in threads:
            thread.join(LONGEST_S)
    assert not any(thread.is_alive() for thread in threads)


def until(site: Site, is_so: Callable[[], bool]) -> None:
    """Let a minute go by every now and then until something is so."""
    ends = time.monotonic() + LONGEST_S
    while not is_so():
        assert time.monotonic() < ends, site.unfinished()
        site.clock.advance(STEP)
        time.sleep(0.02)


def is_finished(site: Site) -> bool:
    """Whether all is done; a store that fails is not."""
    try:
        return site.unfinished() == []
    except SQLAlchemyError:
        return False
