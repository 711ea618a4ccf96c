"""The driver pg8000 as SQLAlchemy expects one: that a connection is lost is always the driver's own error."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pg8000 import Error, InterfaceError
from pg8000.legacy import Connection
from sqlalchemy import Dialect
from sqlalchemy.pool import ConnectionPoolEntry

from cds.errors import SettingsError

LOST = "network error"
"""In pg8000's words, by which SQLAlchemy's dialect knows that the connection cannot be used again."""


class _Connection(Connection):  # type: ignore[misc] # pg8000 publishes no types
    """pg8000 1.31, but for three faults of it.

    It lets the socket's error through where a killed server resets the connection under a read. A value that it
    cannot write leaves half a question behind, which the next one's on this connection would follow. And where the
    server is gone it leaves the socket open until the garbage is collected.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        try:
            super().__init__(*arguments, **options)
        except BaseException:
            if getattr(self, "_usock", None) is not None:
                with suppress(OSError, Error):
                    self.close()
            raise

    def close(self) -> None:
        stream = self._sock
        try:
            super().close()
        finally:
            if stream is not None:
                with suppress(OSError):  # it tries to send what the server will not read
                    stream.close()

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
    secured = with_tls(keywords)
    try:
        return _Connection(*arguments, **secured)
    except OSError as error:
        raise InterfaceError(LOST) from error


def with_tls(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What pg8000 is to be called with where the address asks for TLS in libpq's words; raises SettingsError.

    By itself pg8000 would take any certificate, and do without TLS where the server has none.
    """
    keywords = dict(asked)
    mode, authority = keywords.pop("sslmode", None), keywords.pop("sslrootcert", None)
    if mode is None and authority is None:
        return keywords
    if mode != "verify-full":
        raise SettingsError("database_url: sslmode can only be verify-full, which checks the server's certificate")
    try:
        return {**keywords, "ssl_context": ssl.create_default_context(cafile=authority)}
    except OSError as e:
        raise SettingsError("database_url: sslrootcert must be a readable file of CA certificates in PEM format") from e
