"""The engine of the store, set up so that a web process and a worker can share one SQLite file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlmodel import Session, SQLModel

from cds.errors import SettingsError
from cds.store.database_faults import NO_FILE, in_words, is_busy, not_opened, refused_file
from cds.store.upgrade import DATABASES, prepare

MOST_CONNECTIONS = 15
"""Of one process to a PostgreSQL. All are kept: a new one takes it longer than all that a hook asks."""
BUSY_TIMEOUT_MS = 10_000
BUSY_POLL_S = 0.02
WRITE_POLL_S = 0.001
"""Another one's commit takes a few milliseconds."""
_INSERTS: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def open_database(url: str, *, upgrade: bool = False, must_exist: bool = False) -> Engine:
    """An engine whose tables are those of this program; an empty database gets them, an older one only if asked.

    A file of SQLite is made, unless it `must_exist`. Raises SettingsError where the database cannot be opened or has
    another layout, DatabaseUnreachable where that may pass.
    """
    engine = connect(url, must_exist=must_exist)
    try:
        with in_words(engine):
            prepare(engine, upgrade=upgrade)
    except SettingsError:
        engine.dispose()
        raise
    return engine


def connect(url: str, *, must_exist: bool = False) -> Engine:
    """An engine for the database as it is; raises SettingsError for an address that cannot be used."""
    try:
        address = make_url(url)
        backend = address.get_backend_name()
        if backend not in DATABASES:
            raise SettingsError(f"database_url: {backend!r} is not supported; use sqlite or postgresql")
        if backend == "sqlite":
            _check_file(address.database, must_exist=must_exist)
        # Without hide_parameters every error would quote the values of its statement.
        engine = create_engine(address, hide_parameters=True, **_pool(backend))
    except ModuleNotFoundError as missing:
        raise SettingsError(
            f"database_url: the driver {missing.name} is not installed. PostgreSQL needs the extra `postgresql`: "
            "pip install 'mammotrend[postgresql]', and an address that begins with postgresql+pg8000://"
        ) from None
    except SQLAlchemyError as e:
        raise not_opened(e) from e
    if backend == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
    if engine.dialect.driver == "pg8000":
        # Only here: the driver belongs to what a site on PostgreSQL installs.
        from cds.store import pg8000_driver

        event.listen(engine, "do_connect", pg8000_driver.connect)
    return engine


def _pool(backend: str) -> dict[str, Any]:
    if backend == "sqlite":
        return {}
    # A server may be gone since the last question; a file never is.
    return {"pool_pre_ping": True, "pool_size": MOST_CONNECTIONS, "max_overflow": 0}


def _check_file(database: str | None, *, must_exist: bool) -> None:
    """SQLite makes the file, not its folder, and does not say which of the two it could not open.

    A file that is made where a command only reads would be shown as a site without patients.
    """
    file = Path(database or "")
    try:
        if not file.parent.is_dir():
            raise SettingsError(f"database_url: folder {str(file.parent)!r} does not exist; make it")
        if not must_exist or database in NO_FILE or file.exists():
            return
    except PermissionError:
        raise refused_file(file) from None
    raise SettingsError(
        f"database_url: there is no database {database!r}; name the site's settings file by --config, or correct the "
        "address (the first start of serve or worker makes a new one)"
    )


def insert_into(place: Session | Connection, table: type[SQLModel]) -> Any:
    """An INSERT that another process may win: both databases have ON CONFLICT, each in its own dialect."""
    dialect = place.dialect if isinstance(place, Connection) else place.get_bind().dialect
    return _INSERTS[dialect.name](table)


def lock_before_reading(session: Session) -> None:
    """Have what a transaction reads stay as it is until it has written.

    PostgreSQL locks the rows that are read FOR UPDATE. SQLite has no such locks, and its driver begins a transaction
    only with the first write: the whole file is taken before the first read.
    """
    if session.get_bind().dialect.name == "sqlite":
        session.connection().exec_driver_sql("BEGIN IMMEDIATE")


def begin_to_write(connection: Connection) -> None:
    """Begin a transaction that writes, soon after nobody else does.

    SQLite looks again after longer and longer waits, up to a tenth of a second: more than a hook has. The driver would
    begin by itself, with the first write.
    """
    if connection.dialect.name != "sqlite":
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        _when_free(lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"), WRITE_POLL_S)
    finally:
        driver.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    """Write-ahead log: readers never wait for the writer, and writers wait for each other instead of failing."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    # The switch needs the file for itself, and unlike other statements it fails at once where another process has it.
    _when_free(lambda: cursor.execute("PRAGMA journal_mode = WAL"), BUSY_POLL_S)
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _when_free(work: Callable[[], object], poll_s: float) -> None:
    """Do what fails while another process has the file; its error is raised when that has taken too long."""
    ends_s = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            work()
        except (sqlite3.OperationalError, OperationalError) as error:
            if not is_busy(error) or time.monotonic() > ends_s:
                raise
            time.sleep(poll_s)
        else:
            return
