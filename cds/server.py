"""The processes of the service: one, or several on one port, each replaced if it dies and let end its work."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from cds.errors import SettingsError
from cds.web.connections import BACKLOG, TURN_S, ConnectionLimits, answer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)

CANNOT_START = 2
"""The exit status of a process whose settings are refused: the next would be refused as well."""


@dataclass(frozen=True)
class Listening:
    """Where to listen, and with how many processes."""

    host: str = "127.0.0.1"
    port: int = 8410
    processes: int = 1
    each: ConnectionLimits = field(default_factory=ConnectionLimits)
    pause_s: float = 1.0
    """Before a process that died is replaced."""


def serve(
    create_app: Callable[[], WSGIApplication],
    listening: Listening,
    stop: Event,
    announce: Callable[[int], object] = lambda _port: None,
) -> None:
    """Answer until `stop` is set, which is for a signal's handler to do; `announce` is told the port.

    With several processes the application is made in each, so that no connection and no thread is shared by two, and
    whatever it raises ends them all. Raises SettingsError where it cannot listen.
    """
    with _opened(listening.host, listening.port) as sockets:
        port, parent = sockets[0].getsockname()[1], os.getpid()
        if listening.processes == 1:
            app = create_app()
            announce(port)
            answer(app, listening.each, sockets, stop.is_set)
            return
        announce(port)
        if _is_forked(listening, sockets, stop):
            answer(create_app(), listening.each, sockets, lambda: stop.is_set() or os.getppid() != parent)


@contextmanager
def _opened(host: str, port: int) -> Iterator[list[socket.socket]]:
    """A listening socket for each address of the host."""
    with ExitStack() as opened:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            places = dict.fromkeys((family, address) for family, *_, address in found)
            sockets = [
                opened.enter_context(socket.create_server(address, family=family, backlog=BACKLOG))
                for family, address in places
            ]
        except OSError as e:
            raise SettingsError(f"cannot listen on {host}:{port} ({e.strerror})") from e
        yield sockets


def _is_forked(listening: Listening, sockets: Sequence[socket.socket], stop: Event) -> bool:
    """True in every process that is to answer; False in their parent, when all of them have ended."""
    children: set[int] = set()
    status = 0
    while not stop.is_set() and status != CANNOT_START:
        while len(children) < listening.processes:
            child = os.fork()
            if child == 0:
                return True
            children.add(child)
        child, ended = os.waitpid(-1, os.WNOHANG)
        children.discard(child)
        if child:
            status = os.waitstatus_to_exitcode(ended)
            log.error("a process that answers ended with status %d", status)
        stop.wait(listening.pause_s if child else TURN_S)
    for each in sockets:
        each.close()  # who connects now is refused at once, not left to wait
    for child in children:
        os.kill(child, signal.SIGTERM)
    for child in children:
        os.waitpid(child, 0)
    if status == CANNOT_START:
        raise SettingsError("the processes that answer cannot start; the line above says why")
    return False
