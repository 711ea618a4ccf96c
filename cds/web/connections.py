"""One process's connections: waitress, with the bounds that it does not have by itself.

waitress, because it takes in the whole of a request before a thread is given to it: a client that is slow, or never
ends, costs a socket and no thread. It bounds a silence but not a drip, so that is added here.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher

from cds.web.browsers import SECURITY_HEADERS
from cds.web.door import LATELY_S, NEW_S, Door
from cds.web.errors import operation_outcome
from cds.web.limits import FrontLimits

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

TURN_S = 0.5
"""How long the loop looks at nothing but its sockets."""
IDLE_S = 60
"""How long a connection is kept for a client's next request."""
LARGEST_HEADERS_BYTES = 64 * 1024
BACKLOG = 1024
"""Connections that wait to be let in; more are refused by the system."""


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """What the clients of one process may take of it."""

    threads: int = FrontLimits().threads
    largest_request_bytes: int = FrontLimits().largest_request_bytes
    slow_client_s: float = 20.0
    """For all of a request to arrive, however steadily it drips, and for all of an answer to be taken."""
    connections: int = 500
    """Open at a time; more wait to be let in. Below the 1024 files that a process may usually have open."""
    longest_end_s: float = 30.0
    """For what is in hand to be answered at the end."""


def answer(
    app: WSGIApplication,
    limits: ConnectionLimits,
    sockets: Sequence[socket.socket],
    is_over: Callable[[], bool],
    door_for: Callable[[int], Door] = Door,
) -> None:
    """Take in requests until it is over, and answer those that are in hand then.

    `door_for` makes the door of each socket for a number of threads.
    """
    open_ones: dict[int, Any] = {}
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.set_thread_count(limits.threads)
    servers = [_Server(app, limits, opened, dispatcher, open_ones, door_for(limits.threads)) for opened in sockets]

    def turn() -> None:
        longest_s = min(server.look_at_the_door() for server in servers)
        wasyncore.loop(longest_s, use_poll=True, map=open_ones, count=1)
        for server in servers:
            server.cut_slow_clients()

    while not is_over():
        turn()
    for server in servers:
        server.let_nobody_in()
    ends_s = time.monotonic() + limits.longest_end_s
    turn()
    while time.monotonic() < ends_s and any(server.is_busy() for server in servers):
        turn()
    dispatcher.shutdown(timeout=TURN_S)
    wasyncore.close_all(open_ones, ignore_all=True)


class _Request(HTTPRequestParser):  # type: ignore[misc] # waitress publishes no types
    """A request whose end is where everybody between its client and us takes it to be."""

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        # RFC 9112, section 6.3: by one of the two what follows is its body, by the other it is somebody's next request.
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("both Transfer-Encoding and Content-Length")


class _Refusal(ErrorTask):  # type: ignore[misc] # waitress publishes no types
    """What waitress itself refuses: its own words would quote the request and name the software."""

    def execute(self) -> None:
        status = HTTPStatus(self.request.error.code)
        body = json.dumps(operation_outcome(status.phrase.lower())).encode()
        self.status = f"{status.value} {status.phrase}"
        self.response_headers.extend([("Content-Type", "application/json"), *SECURITY_HEADERS.items()])
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc] # waitress publishes no types
    """A connection that knows since when its client has kept us waiting, for a request or with taking an answer."""

    parser_class = _Request
    error_task_class = _Refusal

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._waiting_since_s: float | None = time.monotonic()
        self._at_work_since_s: float | None = None
        super().__init__(*arguments, **options)

    def received(self, data: bytes) -> bool:
        if self._waiting_since_s is None:
            self._waiting_since_s = time.monotonic()
        return bool(super().received(data))

    def service(self) -> None:
        # Now the request is whole. With lookahead off nothing is read before it is answered.
        self._waiting_since_s, self._at_work_since_s = None, time.monotonic()
        super().service()
        self._at_work_since_s = None
        if self.total_outbufs_len:
            self._waiting_since_s = time.monotonic()

    def is_new(self) -> bool:
        """Whether its call has begun just now, or waits for a thread."""
        since_s = self._at_work_since_s
        return since_s is None or time.monotonic() - since_s < NEW_S

    def is_slow(self, allowed_s: float) -> bool:
        """Whether the client takes too long; what it waits for itself does not count."""
        since_s = self._waiting_since_s
        return not self.requests and since_s is not None and time.monotonic() - since_s > allowed_s


class _Server(TcpWSGIServer):  # type: ignore[misc] # waitress publishes no types
    """waitress on a socket that is open already, with our limits."""

    channel_class = _Channel

    def __init__(
        self,
        app: WSGIApplication,
        limits: ConnectionLimits,
        opened: socket.socket,
        dispatcher: ThreadedTaskDispatcher,
        open_ones: dict[int, Any],
        door: Door,
    ) -> None:
        self._slow_client_s, self._door, self._lets_in = limits.slow_client_s, door, True
        adjustments = Adjustments(
            sockets=[],
            backlog=BACKLOG,
            ident=None,
            connection_limit=limits.connections,
            channel_timeout=IDLE_S,
            # The application itself knows whose word on the caller's address to take.
            clear_untrusted_proxy_headers=False,
            # What is only a little too large the application refuses: it tells a browser's script why.
            max_request_body_size=2 * limits.largest_request_bytes,
            max_request_header_size=LARGEST_HEADERS_BYTES,
        )
        place = (opened.family, opened.type, opened.proto, opened.getsockname())
        super().__init__(
            app, open_ones, _sock=opened, dispatcher=dispatcher, adj=adjustments, sockinfo=place, bind_socket=False
        )

    def readable(self) -> bool:
        """Whether to let somebody in."""
        return bool(super().readable()) and self._lets_in

    def look_at_the_door(self) -> float:
        """Decide whether somebody comes in at the next turn, and how many seconds that turn may take."""
        # A copy: a thread whose client is gone takes its channel out.
        at_work = [channel for channel in list(self.active_channels.values()) if channel.requests]
        new = sum(channel.is_new() for channel in at_work)
        is_held = self._door.is_held(new)
        self._lets_in = self._door.lets_in(len(at_work), new)
        return LATELY_S if is_held else TURN_S

    def cut_slow_clients(self) -> None:
        """Close their connections; between turns, because within one a new client may get the number of an old one."""
        for channel in [each for each in self.active_channels.values() if each.is_slow(self._slow_client_s)]:
            # Not `will_close`, which waits until there is room to write: who takes nothing makes none.
            channel.handle_close()

    def let_nobody_in(self) -> None:
        """Close the door; who is inside stays, and who stands before it because all threads are at work comes in."""
        inside = -1
        while inside < len(self.active_channels) < self.adj.connection_limit:
            inside = len(self.active_channels)
            self.handle_accept()
        self.accepting = False
        self.socket.close()

    def is_busy(self) -> bool:
        """Whether a request is arriving, at work, or not wholly answered."""
        return any(
            channel.requests or channel.request or channel.total_outbufs_len
            for channel in self.active_channels.values()
        )
