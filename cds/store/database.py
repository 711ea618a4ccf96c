"""The engine of the store, set up so that a web process and a worker can share one SQLite file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlmodel import Session, SQLModel

from cds.errors import DatabaseUnreachable, SettingsError
from cds.store.upgrade import DATABASES, prepare

MOST_CONNECTIONS = 15
"""Of one process to a PostgreSQL. All are kept: a new one takes it longer than all that a hook asks."""
BUSY_TIMEOUT_MS = 10_000
BUSY_POLL_S = 0.02
WRITE_POLL_S = 0.001
"""Another one's commit takes a few milliseconds."""
_PASSING_CODES = ("57P0", "53300")
"""Of PostgreSQL (appendix A of its manual): it ends, has crashed, is starting; too many connections."""
_INSERTS: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def open_database(url: str, *, upgrade: bool = False) -> Engine:
    """An engine whose tables are those of this program; an empty database gets them, an older one only if asked.

    Raises SettingsError where it cannot be opened or has another layout, DatabaseUnreachable where that may pass.
    """
    engine = connect(url)
    try:
        prepare(engine, upgrade=upgrade)
    except (SQLAlchemyError, SettingsError) as e:
        engine.dispose()
        raise e if isinstance(e, SettingsError) else _not_opened(e) from e
    return engine


def connect(url: str) -> Engine:
    """An engine for the database as it is; raises SettingsError for an address that cannot be used."""
    try:
        # Without hide_parameters every error would quote the values of its statement.
        engine = create_engine(url, hide_parameters=True, **_pool(url))
        if engine.dialect.name not in DATABASES:
            raise SettingsError(f"database_url: {engine.dialect.name!r} is not supported; use sqlite or postgresql")
        if engine.dialect.name == "sqlite":
            _check_folder(engine.url.database)
            event.listen(engine, "connect", _set_up_sqlite)
        if engine.dialect.driver == "pg8000":
            # Only here: the driver belongs to what a site on PostgreSQL installs.
            from cds.store import pg8000_driver

            event.listen(engine, "do_connect", pg8000_driver.connect)
    except (SQLAlchemyError, ImportError) as e:
        raise _not_opened(e) from e
    return engine


def _pool(url: str) -> dict[str, Any]:
    if make_url(url).get_backend_name() == "sqlite":
        return {}
    # A server may be gone since the last question; a file never is.
    return {"pool_pre_ping": True, "pool_size": MOST_CONNECTIONS, "max_overflow": 0}


def _not_opened(error: Exception) -> SettingsError:
    if isinstance(error, DBAPIError) and _may_pass(error):
        return DatabaseUnreachable(
            f"database_url: the database does not answer ({type(error).__name__}); see that it runs and can be reached"
        )
    return SettingsError(f"database_url: the database cannot be opened ({type(error).__name__}); correct it")


def _check_folder(database: str | None) -> None:
    """SQLite makes the file, not its folder, and does not say which of the two it could not open."""
    folder = Path(database or "").parent
    if not folder.is_dir():
        raise SettingsError(f"database_url: folder {str(folder)!r} does not exist; make it")


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
            if not _is_busy(error) or time.monotonic() > ends_s:
                raise
            time.sleep(poll_s)
        else:
            return


def _may_pass(error: DBAPIError) -> bool:
    """Whether the database is busy, or cannot be reached, or is starting or ending, or is full of connections."""
    if isinstance(error, OperationalError) and _is_busy(error):
        return True
    told = error.orig.args[0] if error.orig and error.orig.args else None
    code = str(told.get("C", "")) if isinstance(told, dict) else ""
    return isinstance(error, InterfaceError) or code.startswith(_PASSING_CODES)


def _is_busy(error: sqlite3.OperationalError | OperationalError) -> bool:
    cause = error.orig if isinstance(error, OperationalError) else error
    return isinstance(cause, sqlite3.OperationalError) and cause.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
