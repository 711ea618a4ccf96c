"""A PostgreSQL cluster of our own in a temporary folder, reached by a Unix socket only."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from cds.store.database import connect
from tests.servers import READY_S, left_out, running, temporary_folder, unprivileged

_NUMBERS = count(1)


class PostgresqlServer:
    """A running cluster; every test takes a database of its own from it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, database: str) -> str:
        """The address of a database of this cluster."""
        return f"postgresql+pg8000://mammotrend@/{database}?unix_sock={self._folder}/.s.PGSQL.5432"

    def new_database(self) -> str:
        """The address of an empty database that nobody else uses."""
        name = f"test_{next(_NUMBERS)}"
        engine = connect(self.url("postgres"))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.url(name)

    def answers(self) -> bool:
        """Whether it is up."""
        engine = connect(self.url("postgres"))
        try:
            engine.connect().close()
        except DBAPIError:
            return False
        finally:
            engine.dispose()
        return True


class PostgresqlCluster:
    """A cluster on disk that can be started, killed and started again."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self._folder, self._command = folder, command

    @contextmanager
    def up(self) -> Iterator[tuple[PostgresqlServer, subprocess.Popen[bytes]]]:
        """Running while the block does, and its own process."""
        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
        with running(self._command, self._folder, stop=signal.SIGINT) as process:
            yield _ready(PostgresqlServer(self._folder), self._folder), process


@contextmanager
def postgresql() -> Iterator[PostgresqlServer]:
    """An empty PostgreSQL that runs."""
    with postgresql_cluster() as cluster, cluster.up() as (server, _):
        yield server


@contextmanager
def postgresql_cluster() -> Iterator[PostgresqlCluster]:
    """An empty PostgreSQL, not started, for an unprivileged user: it refuses to run as root."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
    if programs is None:
        left_out("PostgreSQL is not installed: sudo apt-get install postgresql")
    with temporary_folder() as folder:
        as_user = unprivileged(folder)
        data = str(folder / "data")
        make = ["-D", data, "-U", "mammotrend", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        command = [*as_user, str(programs), *make]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)  # noqa: S603 - our own arguments
        run = ["-D", data, "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
        yield PostgresqlCluster(folder, [*as_user, str(programs.with_name("postgres")), *run])


def _ready(server: PostgresqlServer, folder: Path) -> PostgresqlServer:
    deadline = time.monotonic() + READY_S
    while not server.answers():
        if time.monotonic() > deadline:
            pytest.fail(f"PostgreSQL did not start: {(folder / 'server.log').read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
    return server
