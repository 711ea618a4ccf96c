"""Writes of several threads in one transaction: all are kept, and none suffers for another."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, event, insert
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.pool import PoolProxiedConnection, QueuePool
from sqlmodel import Session, col, delete, select

from cds.store.audit import AccessEvent, Action, AuditTrail
from cds.store.shared_commit import SharedCommit
from cds.store.tables import Lease
from tests.cds.builders import NOW
from tests.cds.store.asking import all_at_once

UNTIL = NOW + timedelta(hours=1)


@pytest.fixture
def shared(engine: Engine) -> SharedCommit:
    return SharedCommit(engine)


def adding(name: str) -> Callable[[Connection], str]:
    """A write that fails where the name is there already."""

    def add(connection: Connection) -> str:
        connection.execute(insert(Lease), {"name": name, "holder": "h", "until": UNTIL})
        return name

    return add


def kept(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return sorted(session.exec(select(Lease.name)))


def together(
    shared: SharedCommit,
    *works: Callable[[Connection], object],
    first: Callable[[Connection], object] = lambda _connection: None,
) -> list[object]:
    """What came of writes that had to wait for one and the same turn; an error stands for itself."""
    begun, may_end = Event(), Event()

    def hold(connection: Connection) -> None:
        first(connection)
        begun.set()
        assert may_end.wait(60)

    with ThreadPoolExecutor(len(works) + 1) as threads:
        before = threads.submit(shared.write, hold)
        assert begun.wait(60)
        others = [threads.submit(shared.write, work) for work in works]
        wait(others, timeout=0.2)  # they cannot end before the first; this lets them come as far as they can
        may_end.set()
        before.result(timeout=60)
        return [other.exception(timeout=60) or other.result() for other in others]


def test_a_write_is_kept_and_answered(engine: Engine, shared: SharedCommit) -> None:
    assert shared.write(adding("one")) == "one"
    assert kept(engine) == ["one"]


def test_what_waits_together_is_committed_together(engine: Engine, shared: SharedCommit) -> None:
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)

    assert together(shared, *map(adding, "abcdef")) == list("abcdef")
    assert kept(engine) == list("abcdef")
    assert len(commits) < 1 + 6


def test_one_that_fails_fails_alone(engine: Engine, shared: SharedCommit) -> None:
    shared.write(adding("b"))

    said = together(shared, adding("a"), adding("b"), adding("c"))
    assert (said[0], said[2]) == ("a", "c")
    assert isinstance(said[1], IntegrityError)
    assert kept(engine) == ["a", "b", "c"]


def test_a_database_that_is_gone_is_asked_once_for_all_who_wait(tmp_path: Path) -> None:
    tries: list[object] = []
    engine = create_engine(f"sqlite:///{tmp_path / 'store.sqlite'}")
    shared = SharedCommit(engine)

    def gone(*_: object) -> None:
        tries.append(None)
        raise sqlite3.OperationalError("unable to open database file")

    def is_lost(_connection: Connection) -> None:
        event.listen(engine, "do_connect", gone)
        engine.dispose()

    said = together(shared, *map(adding, "abc"), first=is_lost)
    assert all(isinstance(error, OperationalError) for error in said)
    assert len(tries) <= 2  # one may have come before the others


def test_that_no_connection_comes_free_is_waited_for_once_for_all_who_wait(tmp_path: Path) -> None:
    class CountingPool(QueuePool):
        tries = 0

        def connect(self) -> PoolProxiedConnection:
            CountingPool.tries += 1
            return super().connect()

    at_most_one = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.05}
    engine = create_engine(f"sqlite:///{tmp_path / 'store.sqlite'}", poolclass=CountingPool, **at_most_one)

    with ExitStack() as held:

        def take_the_only_one(connection: Connection) -> None:
            connection.close()
            held.enter_context(engine.connect())
            CountingPool.tries = 0

        said = together(SharedCommit(engine), *map(adding, "abc"), first=take_the_only_one)

    assert all(isinstance(error, NoConnectionFree) for error in said)
    assert CountingPool.tries <= 2  # one may have come before the others


def test_after_a_failure_the_next_is_written(engine: Engine, shared: SharedCommit) -> None:
    shared.write(adding("a"))
    with pytest.raises(IntegrityError):
        shared.write(adding("a"))

    shared.write(adding("b"))
    assert kept(engine) == ["a", "b"]


@given(names=st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whoever_writes_at_once_each_name_is_kept_once_and_told_to_one(engine: Engine, names: list[str]) -> None:
    with Session(engine) as session:
        session.execute(delete(Lease).where(col(Lease.name).in_(list("abcd"))))
        session.commit()
    shared = SharedCommit(engine)

    def attempt(name: str) -> str | None:
        try:
            return shared.write(adding(name))
        except IntegrityError:
            return None

    told = all_at_once([lambda name=name: attempt(name) for name in names])  # type: ignore[misc]
    assert sorted(filter(None, told)) == sorted(set(names)) == kept(engine)  # type: ignore[type-var]


def test_what_goes_into_the_audit_trail_goes_with_its_own_write(engine: Engine, shared: SharedCommit) -> None:
    def noting(name: str) -> str:
        return shared.write(adding(name), AccessEvent(Action.ANSWERED, NOW, name, None))

    noting("a")
    with pytest.raises(IntegrityError):
        noting("a")
    all_at_once([lambda name=name: noting(name) for name in "bcd"])  # type: ignore[misc]

    trail = AuditTrail(engine)
    assert sorted(entry.event.ehr or "" for entry in trail.entries()) == ["a", "b", "c", "d"]
    assert trail.verify().fault is None
