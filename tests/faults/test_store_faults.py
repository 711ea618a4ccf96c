"""A store that cannot write for a while: what was not stored is done again, and nothing is there by half."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from cds.nightly.lease import LENGTH
from cds.store.audit import Action
from tests.faults.books import audited
from tests.faults.running import is_finished, until, working
from tests.faults.site import Site

pytestmark = pytest.mark.slow

SHORT_MS = 50
MORE = [f"1.2.{number}" for number in range(10, 22)]


class Restricted:
    """A site's SQLite whose connections are given some PRAGMAs whenever they are taken.

    It listens before any thread is at work: listeners may not come and go while others are called.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pragmas: tuple[str, ...] = ()
        event.listen(engine, "checkout", self._restrict)

    def _restrict(self, connection: Any, *_: object) -> None:
        for pragma in self._pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @contextmanager
    def _by(self, pragma: str) -> Iterator[None]:
        self._pragmas = (pragma,)
        try:
            yield
        finally:
            self._pragmas = ()
            self._engine.dispose()

    @contextmanager
    def full_disk(self, pages_left: int) -> Iterator[None]:
        """A disk on which the database can grow by so many pages only."""
        with self._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        with self._by(f"max_page_count = {pages + pages_left}"):
            yield

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another program that writes for longer than anybody waits."""
        with closing(sqlite3.connect(str(self._engine.url.database), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with self._by(f"busy_timeout = {SHORT_MS}"):
                yield
            other.execute("ROLLBACK")


@pytest.fixture
def restricted(site: Site) -> Restricted:
    return Restricted(site.engine)


@pytest.fixture
def busy_site(site: Site) -> Site:
    """A site with enough exams to fill some pages."""
    for uid in MORE:
        site.admit(f"w{uid}", uid)
    return site


@pytest.mark.parametrize("pages_left", [0, 1, 2, 3, 4, 6, 8, 10, 12, 16])
def test_a_night_on_a_disk_that_fills_up_ends_with_that_and_the_next_one_does_the_rest(
    busy_site: Site, restricted: Restricted, pages_left: int
) -> None:
    with restricted.full_disk(pages_left):
        with pytest.raises(OperationalError, match="full"):
            busy_site.night()
        assert busy_site.unbalanced() == []

    busy_site.clock.advance(LENGTH)
    busy_site.night()

    assert busy_site.unfinished() == []
    assert set(audited(busy_site.engine, Action.SCORED).values()) == {1}
    assert set(audited(busy_site.engine, Action.ASSESSED).values()) == {1}


@pytest.mark.parametrize("pages_left", [0, 5, 10])
def test_a_worker_on_a_full_disk_goes_on_by_itself_when_there_is_room(
    busy_site: Site, restricted: Restricted, pages_left: int, caplog: pytest.LogCaptureFixture
) -> None:
    with busy_site.pacs.down():
        busy_site.night()
    busy_site.clock.advance(timedelta(hours=1))
    with working(busy_site):
        with restricted.full_disk(pages_left):
            until(busy_site, lambda: "the store failed: OperationalError" in caplog.text)
            assert busy_site.unbalanced() == []
        until(busy_site, lambda: is_finished(busy_site))

    assert set(audited(busy_site.engine, Action.SCORED).values()) == {1}


def test_a_night_whose_database_another_program_has_locked_ends_with_that_and_the_next_one_runs(
    site: Site, restricted: Restricted
) -> None:
    with restricted.locked(), pytest.raises(OperationalError, match="locked"):
        site.night()

    site.night()

    assert site.unfinished() == []


def test_a_worker_whose_database_is_locked_for_a_while_goes_on_by_itself(
    site: Site, restricted: Restricted, caplog: pytest.LogCaptureFixture
) -> None:
    with site.pacs.down():
        site.night()
    site.clock.advance(timedelta(hours=1))
    caplog.set_level(logging.ERROR)
    with working(site):
        with restricted.locked():
            until(site, lambda: caplog.text.count("the store failed: OperationalError") > 3)
        until(site, lambda: is_finished(site))

    assert set(audited(site.engine, Action.SCORED).values()) == {1}


def test_a_database_that_is_locked_at_every_other_moment_loses_nothing(site: Site, restricted: Restricted) -> None:
    for _ in range(12):
        with restricted.locked(), suppress(OperationalError):
            site.work()
        with suppress(OperationalError):
            site.night()
        site.clock.advance(LENGTH)

    assert site.unfinished() == []
    assert set(audited(site.engine, Action.SCORED).values()) == {1}
