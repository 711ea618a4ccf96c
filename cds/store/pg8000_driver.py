"""The driver pg8000 as SQLAlchemy expects one: that a connection is lost is always the driver's own error."""

from __future__ import annotations

from typing import Any

from pg8000 import Error, InterfaceError
from pg8000.legacy import Connection
from sqlalchemy import Dialect
from sqlalchemy.pool import ConnectionPoolEntry

LOST = "network error"
"""In pg8000's words, by which SQLAlchemy's dialect knows that the connection cannot be used again."""


class _Connection(Connection):  # type: ignore[misc] # pg8000 publishes no types
    """pg8000 1.31, but for two faults of it.

    It lets the socket's error through where a killed server resets the connection under a read. And a value that it
    cannot write leaves half a question behind, which the next one's on this connection would follow.
    """

    def execute_unnamed(self, *question: Any, **options: Any) -> Any:
        try:
            return super().execute_unnamed(*question, **options)
        except Error:
            raise
        except Exception as error:
            raise InterfaceError(LOST) from error

    def handle_messages(self, context: Any) -> None:
        try:
            super().handle_messages(context)
        except OSError as error:
            raise InterfaceError(LOST) from error


def connect(
    _dialect: Dialect, _entry: ConnectionPoolEntry, arguments: list[Any], keywords: dict[str, Any]
) -> _Connection:
    """SQLAlchemy's event `do_connect`: a connection whose errors are all the driver's."""
    try:
        return _Connection(*arguments, **keywords)
    except OSError as error:
        raise InterfaceError(LOST) from error
