"""The driver pg8000 as SQLAlchemy expects one: a lost connection is the driver's own error, and an answer is quick."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from functools import lru_cache, partial
from typing import Any

from pg8000 import Error, InterfaceError
from pg8000.converters import DATE, TIMESTAMP, date_in, make_params, timestamp_in
from pg8000.core import DESCRIBE, PORTAL, SYNC, Context
from pg8000.legacy import Connection, Cursor, convert_paramstyle
from sqlalchemy import Dialect
from sqlalchemy.pool import ConnectionPoolEntry

from cds.errors import SettingsError

LOST = "network error"
"""In pg8000's words, by which SQLAlchemy's dialect knows that the connection cannot be used again."""

CONNECT_S = 30.0
"""As long a server may take until it has let us in."""
ANSWER_S = 300.0
"""As long it may take for an answer: what is asked of a million exams takes it seconds. Then it is taken for lost."""
_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}
"""A machine that is gone without a word is noticed within a minute (seconds, but for the last: milliseconds).

Not every system knows each of them; all have keep-alive itself.
"""
_PORT = 5432
"""PostgreSQL's own (IANA)."""
_UNNAMED = b"\0"
"""The name of a statement and of a portal that each question replaces."""
_TEXTS_KEPT = 500
"""Of a statement with a list there is one for each of its lengths."""


class _Numbered(str):
    """A question with `$1` and so on for its values, which go with it."""

    values: Sequence[Any] = ()


class _Cursor(Cursor):  # type: ignore[misc] # pg8000 publishes no types
    """Looks for the `%s` of a question once, and not at each call: pg8000 does so letter by letter."""

    def execute(self, operation: str, args: Sequence[Any] = (), stream: Any = None) -> Any:
        if not args or stream is not None:
            return super().execute(operation, args, stream)
        question = _Numbered(_numbered(operation))
        question.values = args
        return super().execute(question)


@lru_cache(maxsize=_TEXTS_KEPT)
def _numbered(operation: str) -> str:
    text, _ = convert_paramstyle("format", operation, ())
    return str(text)


class _Connection(Connection):  # type: ignore[misc] # pg8000 publishes no types
    """pg8000 1.31, but for five faults of it, and quicker.

    It waits for ever for a server that is silent, and lets the socket's error through where a killed server resets
    the connection under a read. A value that it cannot write leaves half a question behind, which the next one's on
    this connection would follow; one that it cannot read leaves half an answer, which the next question would get. And
    where the server is gone it leaves the socket open until the garbage is collected.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        stream = _reach(options)
        try:
            super().__init__(*arguments, sock=stream, **options)
        except BaseException:
            if getattr(self, "_usock", None) is not None:
                with suppress(OSError, Error):
                    self.close()
            stream.close()
            raise
        self.answer_within(ANSWER_S)
        self.register_in_adapter(DATE, partial(_read, date.fromisoformat, date_in))
        self.register_in_adapter(TIMESTAMP, partial(_read, datetime.fromisoformat, timestamp_in))

    def answer_within(self, seconds: float | None) -> None:
        """As long as the server may be silent under a question; None for ever."""
        self._usock.settimeout(seconds)

    def cursor(self) -> _Cursor:
        return _Cursor(self)

    def close(self) -> None:
        parts = self._sock, self._usock  # which it forgets
        try:
            super().close()
        finally:
            for part in filter(None, parts):
                with suppress(OSError):  # it tries to send what the server will not read
                    part.close()

    def execute_simple(self, statement: str) -> Any:
        if isinstance(statement, _Numbered):
            return self.execute_unnamed(statement, statement.values)
        return super().execute_simple(statement)

    def execute_unnamed(
        self, statement: str, vals: Sequence[Any] = (), oids: Sequence[int] = (), stream: Any = None
    ) -> Any:
        """All of a question at once (PostgreSQL, Extended Query): pg8000 waits for an answer to each of three parts."""
        context = Context(statement, stream=stream)
        try:
            self.send_PARSE(_UNNAMED, statement, oids)
            self.send_BIND(_UNNAMED, make_params(self.py_types, vals))
            self._send_message(DESCRIBE, PORTAL + _UNNAMED)
            self.send_EXECUTE()
            self._send_message(SYNC, b"")
            self._sock.flush()
        except Error:
            raise
        except Exception as error:
            raise InterfaceError(LOST) from error
        self.handle_messages(context)
        return context

    def handle_messages(self, context: Any) -> None:
        try:
            super().handle_messages(context)
        except Error:
            raise
        except Exception as error:
            raise InterfaceError(LOST) from error


def _reach(options: dict[str, Any]) -> socket.socket:
    """A socket to the server, by pg8000's options that say where it is; `unix_sock` is taken out of them.

    pg8000 loses its own where the server hangs up before they have agreed on TLS. Raises OSError.
    """
    path, within_s = options.pop("unix_sock", None), float(options.get("timeout", CONNECT_S))
    if path is None:
        place = (options.get("host", "localhost"), options.get("port", _PORT))
        stream = socket.create_connection(place, within_s)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _ALIVE.items():
            if hasattr(socket, option):
                stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        return stream
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(within_s)
    try:
        stream.connect(path)
    except BaseException:
        stream.close()
        raise
    return stream


def _read(quickly: Callable[[str], Any], as_usual: Callable[[str], Any], told: str) -> Any:
    """A day or moment as it is mostly told; what ISO 8601 does not know, such as `infinity`, as pg8000 reads it."""
    try:
        return quickly(told)
    except ValueError:
        return as_usual(told)


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
