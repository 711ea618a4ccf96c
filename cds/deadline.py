"""A bound on all of a question's time: timeouts of requests are for each silence, and a drip is never silent."""

from __future__ import annotations

from collections.abc import Callable
from http.client import HTTPResponse
from io import BufferedReader, RawIOBase
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import Timeout


def in_all(timeout_s: float) -> Any:
    """What requests takes for its timeout so that to connect and to wait for the first byte have one time together."""
    return Timeout(total=timeout_s)


class InTimeAdapter(HTTPAdapter):
    """Calls `in_time` before every piece that it takes from a connection, of headers and of bodies; it may raise."""

    def __init__(self, in_time: Callable[[], None], **options: Any) -> None:
        self._in_time = in_time
        super().__init__(**options)

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        """The pool of connections for a request (requests' own hook), each of them timed."""
        pool: Any = super().get_connection_with_tls_context(*arguments, **options)
        pool.ConnectionCls = self._timed(type(pool).ConnectionCls)
        return pool

    def _timed(self, kind: Callable[..., Any]) -> Callable[..., Any]:
        def response(*arguments: Any, **options: Any) -> HTTPResponse:
            answer: Any = HTTPResponse(*arguments, **options)
            answer.fp = BufferedReader(_TimedStream(answer.fp.detach(), self._in_time))
            return answer  # type: ignore[no-any-return] # http.client's own types leave `fp` out

        def connection(**options: Any) -> Any:
            made = kind(**options)
            made.response_class = response
            return made

        return connection


class _TimedStream(RawIOBase):
    def __init__(self, stream: RawIOBase, in_time: Callable[[], None]) -> None:
        self._stream, self._in_time = stream, in_time

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._in_time()
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()
