"""A server process to be measured: the service, or a bare JSON echo, both served in the same way."""

from __future__ import annotations

import logging
import signal
import sys
from threading import Event

from flask import Flask, request

from benchmarks.women import services
from cds.server import Listening, serve
from cds.web.app import Front, create_app
from cds.web.limits import FrontLimits

ECHO = "echo"
PROCESSES = 2
MANY = 10**9
"""Calls a minute: how many of them there are is what is measured."""


def echo() -> Flask:
    """What Flask takes to read a JSON body and to write it."""
    app = Flask("echo")
    app.add_url_rule("/<path:_any>", view_func=lambda _any: request.get_json(), methods=["POST"], endpoint="echo")
    return app


def main() -> None:
    """Serve the database that the command line names, or the echo, and print the port."""
    logging.getLogger("waitress").setLevel(logging.ERROR)  # it tells of every call that waits
    what, stop = sys.argv[1], Event()
    for ends in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ends, lambda *_: stop.set())
    front = Front(limits=FrontLimits(calls_per_minute=MANY))
    listening = Listening(port=0, processes=PROCESSES)
    serve(lambda: echo() if what == ECHO else create_app(services(what), front), listening, stop, _tell)


def _tell(port: int) -> None:
    """The one thing that who started this must know."""
    print(port, flush=True)


if __name__ == "__main__":
    main()
