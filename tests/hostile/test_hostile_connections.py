"""A thousand broken connections to the running server: each is answered or closed, and none gives anything away."""

from __future__ import annotations

import io
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from pathlib import Path
from queue import Queue

import pytest

from cds.server import Listening, serve
from cds.store.database import open_database
from cds.web.connections import ConnectionLimits
from tests.hostile.asking import app_of_two_women
from tests.hostile.judging import Answer, complaints
from tests.hostile.wires import HEALTH, WHOLE, contradictory, cut_off, no_requests, pipelined, spoilt
from tests.hostile.women import ADA

pytestmark = pytest.mark.slow

LONGEST_S = 20.0
"""Until an answer or the end of the connection, and longer than the server waits for a slow client."""
LIMITS = ConnectionLimits(threads=4, slow_client_s=5.0, largest_request_bytes=100_000)


@dataclass
class Wire:
    """A running server, and what it answered wrongly."""

    port: int
    log: pytest.LogCaptureFixture
    made: int = 0
    wrong: list[str] = field(default_factory=list)

    def send(self, sent: bytes) -> list[Answer]:
        """Every answer on a connection of its own, to bytes after which no more will come."""
        self.made += 1
        self.log.clear()
        try:
            answers = list(_answers(self._received(sent)))
        except (TimeoutError, HTTPException) as error:
            self.wrong.append(f"{type(error).__name__} {error}: {sent[:300]!r}")
            return []
        for answer in answers:
            found = [said for said in complaints(answer, ADA, self.log.text) if not _is_due(said, sent)]
            if found:
                self.wrong.append(f"{found} {sent[:300]!r}")
        return answers

    def _received(self, sent: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), LONGEST_S) as client:
            received = b""
            try:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                while part := client.recv(65_536):
                    received += part
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before it was read to its end
            return received


def _is_due(complaint: str, sent: bytes) -> bool:
    """RFC 9112, section 6.1: a transfer coding that is not understood is answered 501."""
    return complaint == "status 501" and b"transfer" in sent.lower()


class _Received(io.BytesIO):
    """A socket from which all has been read already; one answer after the other is taken from it."""

    def makefile(self, _mode: str) -> _Received:
        return self

    def close(self) -> None:
        """Stay open: what is left belongs to the next answer."""


def _answers(received: bytes) -> Iterator[Answer]:
    rest = _Received(received)
    while rest.tell() < len(received):
        response = HTTPResponse(rest)  # type: ignore[arg-type] # all that it asks of a socket is makefile
        try:
            response.begin()
        except RemoteDisconnected:
            return  # it was told to go on, and did not
        body = response.read()
        yield Answer(response.status, dict(response.headers.items()), body)


@contextmanager
def running(folder: Path, log: pytest.LogCaptureFixture) -> Iterator[Wire]:
    """The service at a port of loopback, in a thread of its own."""
    log.set_level(logging.DEBUG)
    engine = open_database(f"sqlite:///{folder / 'site.sqlite'}")
    app, stop, port = app_of_two_women(engine), threading.Event(), Queue[int]()
    listening = Listening(port=0, each=LIMITS)
    thread = threading.Thread(target=serve, args=(lambda: app, listening, stop, port.put))
    thread.start()
    try:
        yield Wire(port.get(timeout=LONGEST_S), log)
    finally:
        stop.set()
        thread.join(2 * LONGEST_S)
        engine.dispose()
    assert not thread.is_alive()


KINDS: dict[str, tuple[Callable[[], Iterator[bytes]], int]] = {
    "cut off": (cut_off, 330),
    "spoilt": (partial(spoilt, 500), 500),
    "contradictory": (contradictory, 70),
    "no requests": (no_requests, 135),
    "pipelined": (pipelined, 35),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_broken_connection_is_answered_or_closed_and_the_next_is_served(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make, least = KINDS[kind]
    with running(tmp_path, caplog) as wire:
        for sent in make():
            wire.send(sent)
        assert [answer.status for answer in wire.send(HEALTH + WHOLE)] == [200, 200]

    assert wire.wrong == []
    assert wire.made >= least


def test_that_makes_a_thousand_connections() -> None:
    assert sum(least for _, least in KINDS.values()) >= 1000
