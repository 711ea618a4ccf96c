"""Any WSGI app on a free loopback port, for the demo and the tests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import waitress
from waitress import wasyncore

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HOST = "127.0.0.1"
POLL_S = 0.5


def take_place(port: int = 0) -> tuple[socket.socket, str]:
    """A place to serve at and its address, for an app that must know beforehand where it is reached."""
    taken = socket.create_server((HOST, port))
    return taken, f"http://{HOST}:{taken.getsockname()[1]}"


@contextmanager
def serve(app: WSGIApplication, port: int = 0, threads: int = 8, at: socket.socket | None = None) -> Iterator[str]:
    """Serve `app` while the block runs; yields its address without a trailing slash. Port 0 takes a free one."""
    sockets: dict[int, Any] = {}
    where = {"sockets": [at or take_place(port)[0]]}
    server = waitress.create_server(app, map=sockets, **where, threads=threads, ident=None)
    stopping = threading.Event()
    loop = threading.Thread(target=_loop, args=(sockets, stopping), name="loopback server", daemon=True)
    loop.start()
    try:
        yield f"http://{HOST}:{server.effective_port}"
    finally:
        stopping.set()
        server.pull_trigger()
        loop.join()
        server.task_dispatcher.shutdown(cancel_pending=True)
        wasyncore.close_all(sockets, ignore_all=True)


def _loop(sockets: dict[int, Any], stopping: threading.Event) -> None:
    # waitress's own run() has no way to be stopped from outside, so its select loop is turned one step at a time.
    while not stopping.is_set():
        wasyncore.loop(timeout=POLL_S, map=sockets, count=1)
