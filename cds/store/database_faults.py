"""What a database fails with, in words that say what to do, and whether it may pass."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
    StatementError,
)

from cds.errors import DatabaseUnreachable, SettingsError

NO_FILE = (None, "", ":memory:")
"""Of the names in an address of SQLite."""
_PASSING_CODES = ("57P0", "53300")
"""Of PostgreSQL (appendix A of its manual): it ends, has crashed, is starting; too many connections."""
_VALUES_CODES = ("22", "23", "54")
"""Classes of the same list: of what is to be kept something cannot be, or may not, or is too large."""
_MEND: Mapping[str, str] = {
    "28000": "its server does not let in the user of the address: make the role, or see pg_hba.conf, which "
    "by `peer` lets in only the system's user of that name",
    "28P01": "its server refuses the user or the password of the address: correct them, or make the role",
    "3D000": "its server has no such database: make it, or correct the name",
    "42501": "its user may not make the tables: make that role the database's owner",
}
"""By PostgreSQL's codes: what somebody must do before it can be opened."""


@contextmanager
def in_words(engine: Engine) -> Iterator[None]:
    """What the database fails with as a SettingsError that says what to do, DatabaseUnreachable where it may pass."""
    try:
        yield
    except SQLAlchemyError as e:
        raise not_opened(e, engine.url) from e


def may_pass(error: SQLAlchemyError) -> bool:
    """Whether the database is busy, or cannot be reached, or is starting or ending, or is full of connections."""
    if isinstance(error, OperationalError) and is_busy(error):
        return True
    code = _postgresql_code(error)
    # pg8000 has one error for a connection that is lost and for a user who is not let in.
    return code.startswith(_PASSING_CODES) if code else isinstance(error, InterfaceError)


def is_busy(error: sqlite3.OperationalError | OperationalError) -> bool:
    """Whether another process has the file of SQLite."""
    cause = error.orig if isinstance(error, OperationalError) else error
    return isinstance(cause, sqlite3.OperationalError) and cause.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def concerns_all(fault: Exception) -> bool:
    """Whether the store fails whoever asks, and not for a value that it is to keep of one patient or exam.

    What is not known to be of a value is tried again: a full disk must lose nobody.
    """
    if not isinstance(fault, SQLAlchemyError):
        return False
    if code := _postgresql_code(fault):
        return not code.startswith(_VALUES_CODES)
    if not isinstance(fault, DBAPIError):
        return not isinstance(fault, StatementError)  # which SQLAlchemy could not put into words
    is_unwritable = any(isinstance(cause, UnicodeError) for cause in _causes(fault))
    return not (is_unwritable or isinstance(fault, (DataError, IntegrityError)))


def not_opened(error: SQLAlchemyError, url: URL | None = None) -> SettingsError:
    """What the site is told of an error by which a database could not be opened; `url` is its address, if known."""
    kind = type(error).__name__
    if may_pass(error):
        return DatabaseUnreachable(
            f"database_url: the database does not answer ({kind}); see that it runs and can be reached"
        )
    if _is_file_refused(error) and url is not None and url.database not in NO_FILE:
        return refused_file(Path(url.database or ""))
    mend = _MEND.get(_postgresql_code(error), "correct it")
    return SettingsError(f"database_url: the database cannot be opened ({kind}); {mend}")


def refused_file(file: Path) -> SettingsError:
    """The file, or the nearest folder where it can be neither made nor found, is another user's."""
    # Not Path's own `exists`, which raises where it may not look.
    place = next(place for place in (file, *file.parents) if os.path.exists(place))  # noqa: PTH110
    try:
        owner = repr(place.owner())
    except KeyError:
        owner = f"user {place.stat().st_uid}"
    return SettingsError(
        f"database_url: this user may not read and write {str(place)!r}, which belongs to {owner}; run every command "
        "as the user of serve and worker, to whom the database must belong"
    )


def _postgresql_code(error: SQLAlchemyError) -> str:
    """The server's own code (appendix A of its manual); empty where it has not said anything.

    It hangs up on whom it refuses. That nobody hears pg8000's goodbye then is an error in the place of what it said.
    """
    told = (cause.args[0] for cause in _causes(error) if cause.args)
    return next((str(one.get("C", "")) for one in told if isinstance(one, dict)), "")


def _causes(error: SQLAlchemyError) -> Iterator[BaseException]:
    cause: BaseException | None = error.orig if isinstance(error, DBAPIError) else None
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_file_refused(error: SQLAlchemyError) -> bool:
    """Whether a file of SQLite may not be opened, or not be written."""
    cause = error.orig if isinstance(error, OperationalError) else None
    refused = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
    return isinstance(cause, sqlite3.OperationalError) and cause.sqlite_errorcode & 0xFF in refused
