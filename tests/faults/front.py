"""What stands before a server of the embedded hospital and has it misbehave for a while."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cds.demo.loopback import serve

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Fault = Callable[["WSGIApplication"], "WSGIApplication"]
"""From a server to what it is while it misbehaves."""


class Front:
    """A server on loopback that lets every request through, but for those that are to fail.

    `asked` are its requests so far, such as `GET /Patient/p1`; `page_size` overrules what a search asks for.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app, self._port = app, 0
        self._running = ExitStack()
        self._faults: list[tuple[re.Pattern[str], Fault]] = []
        self.asked: list[str] = []
        self.page_size: int | None = None
        self.url = ""

    def start(self) -> None:
        """Begin to listen, after the first time at the same address."""
        self.url = self._running.enter_context(serve(self._through, self._port))
        self._port = int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        """Be down: connections are refused."""
        self._running.close()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Down while the block runs."""
        self.stop()
        yield
        self.start()

    @contextmanager
    def failing(self, fault: Fault, asked: str = "") -> Iterator[None]:
        """The requests in which the pattern `asked` is found fail in this way while the block runs."""
        self._faults.insert(0, (re.compile(asked), fault))
        try:
            yield
        finally:
            self._faults.pop(0)

    def count(self, asked: str) -> int:
        """How many requests so far had this pattern."""
        return sum(re.search(asked, request) is not None for request in self.asked)

    def _through(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        if self.page_size is not None:
            environ["QUERY_STRING"] = re.sub(r"_count=\d+", f"_count={self.page_size}", environ["QUERY_STRING"])
        query = environ["QUERY_STRING"]
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{'?' if query else ''}{query}"
        self.asked.append(request)
        fault = next((fault for pattern, fault in self._faults if pattern.search(request)), None)
        return (fault(self._app) if fault else self._app)(environ, start_response)


def answering(status: int, **headers: str) -> Fault:
    """Nothing but this status; `Retry_After` is the header Retry-After."""
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]

    def answer(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response(f"{status} {HTTPStatus(status).phrase}", [("Content-Length", "0"), *named])
        return [b""]

    return lambda _app: answer


def silent_for(seconds: float) -> Fault:
    """The right answer, and late."""

    def around(app: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
            time.sleep(seconds)
            return app(environ, start_response)

        return answer

    return around


def dripping(every_s: float, longest_s: float = 2.0) -> Fault:
    """The right answer, a byte at a time; after `longest_s` nobody listens any more, and it ends."""

    def drips(body: bytes) -> Iterator[bytes]:
        ends = time.monotonic() + longest_s
        for byte in body:
            yield bytes([byte])
            time.sleep(every_s)
            if time.monotonic() > ends:
                return

    return _with_body(drips)


def truncated(body: bytes) -> Iterator[bytes]:
    """Half of an answer, and then the connection ends."""
    yield body[: len(body) // 2]


def truncating() -> Fault:
    """Half of the right answer, whose length was announced where it is known."""
    return _with_body(truncated)


def losing_the_answer() -> Fault:
    """What was asked is done, and the connection ends before the answer."""

    def around(app: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
            b"".join(app(environ, lambda *_: lambda _chunk: None))
            # A length that nothing follows: waitress closes the connection.
            start_response("200 OK", [("Content-Length", "99"), ("Content-Type", "application/fhir+json")])
            return [b""]

        return answer

    return around


def of_another(study_uid: str, other_uid: str) -> Fault:
    """For one study what is asked of another."""

    def around(app: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
            path = environ["PATH_INFO"].replace(f"/{study_uid}", f"/{other_uid}")
            return app({**environ, "PATH_INFO": path}, start_response)

        return answer

    return around


def skipping_a_page() -> Fault:
    """The page after the one that is asked for."""

    def around(app: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
            query = re.sub(r"_offset=(\d+)", lambda offset: f"_offset={int(offset[1]) + 1}", environ["QUERY_STRING"])
            return app({**environ, "QUERY_STRING": query}, start_response)

        return answer

    return around


def after(requests: int, fault: Fault) -> Fault:
    """The right answer to the first requests, then the fault."""
    left = iter(range(requests))

    def around(app: WSGIApplication) -> WSGIApplication:
        return app if next(left, None) is not None else fault(app)

    return around


def _with_body(change: Callable[[bytes], Iterator[bytes]]) -> Fault:
    def around(app: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
            return change(b"".join(app(environ, start_response)))

        return answer

    return around
