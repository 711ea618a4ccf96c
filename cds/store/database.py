"""The engine of the store, set up so that a web process and a worker can share one SQLite file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, SQLModel

from cds.errors import SettingsError
from cds.store import tables  # noqa: F401 # importing the tables registers them with SQLModel.metadata

BUSY_TIMEOUT_MS = 10_000
BUSY_POLL_S = 0.02
# Of two processes that start together one makes the tables, the other waits and finds them. The number is our own.
_ONE_AT_A_TIME = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(20260520)"}
_INSERTS: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def open_database(url: str) -> Engine:
    """An engine with all tables in place; creates those that are missing. Raises SettingsError where it cannot."""
    try:
        # Without hide_parameters every error would quote the values of its statement.
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True)
        if engine.dialect.name not in _ONE_AT_A_TIME:
            raise SettingsError(f"database_url: {engine.dialect.name!r} is not supported; use sqlite or postgresql")
        if engine.dialect.name == "sqlite":
            _check_folder(engine.url.database)
            event.listen(engine, "connect", _set_up_sqlite)
        _create_missing_tables(engine)
    except (SQLAlchemyError, ImportError) as e:
        raise SettingsError(f"database_url: the database cannot be opened ({type(e).__name__}); correct it") from e
    return engine


def _check_folder(database: str | None) -> None:
    """SQLite makes the file, not its folder, and does not say which of the two it could not open."""
    folder = Path(database or "").parent
    if not folder.is_dir():
        raise SettingsError(f"database_url: folder {str(folder)!r} does not exist; make it")


def insert_into(session: Session, table: type[SQLModel]) -> Any:
    """An INSERT that another process may win: both databases have ON CONFLICT, each in its own dialect."""
    return _INSERTS[session.get_bind().dialect.name](table)


def _create_missing_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql(_ONE_AT_A_TIME[engine.dialect.name])
        SQLModel.metadata.create_all(connection)
        connection.commit()


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    """Write-ahead log: readers never wait for the writer, and writers wait for each other instead of failing."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    _use_write_ahead_log(cursor)
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _use_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    """Switch the file to its write-ahead log, when it is free."""
    # The switch needs the file for itself, and unlike other statements it fails at once where another process has it.
    ends = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > ends:
                raise
            time.sleep(BUSY_POLL_S)
        else:
            return
