"""The service's processes, as real ones on loopback: they answer, are replaced, and end when they are told to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import NoReturn

import pytest
import requests

from cds.errors import SettingsError
from cds.server import Listening, serve

ROOT = Path(__file__).parent.parent.parent
TIMEOUT_S = 30.0
TRIES = 300

SERVING = """
import os, signal, sys, time
from pathlib import Path
from threading import Event
from cds.errors import SettingsError
from cds.server import Listening, serve
from cds.web.connections import ConnectionLimits

processes, refused = int(sys.argv[1]), Path(sys.argv[2])
let_go = refused.with_name("let-go")
stop = Event()
for each in (signal.SIGTERM, signal.SIGINT):
    signal.signal(each, lambda *_: stop.set())

def create_app():
    if refused.exists():
        raise SettingsError("the settings are refused")
    made_in = os.getpid()
    def app(environ, start_response):
        while environ["PATH_INFO"] == "/held" and not let_go.exists():
            time.sleep(0.05)
        body = f"{made_in} {os.getpid()} {'torch' in sys.modules}".encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    return app

try:
    serve(create_app, Listening(port=0, processes=processes, pause_s=0.1), stop,
          lambda port: print(port, flush=True))
except SettingsError as error:
    sys.stderr.write(f"{error}\\n")
    sys.exit(2)
"""


@dataclass
class Service:
    """A running service: its first process, and where it listens."""

    process: subprocess.Popen[str]
    port: int

    def get(self, path: str = "/") -> list[str]:
        """Which process the application was made in, which answers, and whether torch is loaded there."""
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=TIMEOUT_S).text.split()

    def await_answerers(self, wanted: Callable[[set[int]], bool]) -> set[int]:
        """The processes that answer, once they are as wanted."""
        seen: set[int] = set()
        for _ in range(TRIES):
            # A new connection each time, for any of them to take.
            made_in, answers, _ = self.get()
            assert made_in == answers
            seen.add(int(answers))
            if wanted(seen):
                return seen
            time.sleep(0.02)
        pytest.fail(f"these answer: {seen}")

    def await_refusal(self) -> None:
        """Return when nobody new is let in."""
        for _ in range(TRIES):
            try:
                socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S).close()
            except ConnectionRefusedError:
                return
            time.sleep(0.05)
        pytest.fail("clients are still let in")

    def end(self) -> tuple[int, str]:
        """The exit status and what was logged."""
        self.process.terminate()
        _, said = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, said


def start(processes: int, refused: Path) -> subprocess.Popen[str]:
    """The service in a process of its own; its settings are refused as soon as the file `refused` is there."""
    command = [sys.executable, "-c", SERVING, str(processes), str(refused)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 # our own


@contextmanager
def running(processes: int, refused: Path) -> Iterator[Service]:
    """The service while the block runs."""
    process = start(processes, refused)
    try:
        assert process.stdout is not None
        yield Service(process, int(process.stdout.readline()))
    finally:
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_call_in_hand_is_answered_before_the_end(tmp_path: Path, processes: int, by: signal.Signals) -> None:
    with running(processes, tmp_path / "refused") as service:
        got: list[list[str]] = []
        calls = [Thread(target=lambda: got.append(service.get("/held"))) for _ in range(4)]
        for call in calls:
            call.start()
        time.sleep(0.5)  # they are in hand
        service.process.send_signal(by)
        service.await_refusal()
        (tmp_path / "let-go").touch()

        assert service.process.wait(TIMEOUT_S) == 0
        for call in calls:
            call.join(TIMEOUT_S)
    assert len(got) == 4


def test_one_process_is_the_one_that_was_started(tmp_path: Path) -> None:
    with running(1, tmp_path / "refused") as service:
        assert service.get() == [str(service.process.pid), str(service.process.pid), "False"]


def test_several_processes_answer_at_one_port_each_with_an_application_of_its_own(tmp_path: Path) -> None:
    with running(3, tmp_path / "refused") as service:
        answering = service.await_answerers(lambda seen: len(seen) == 3)

        assert service.process.pid not in answering
        assert service.get()[2] == "False"


@pytest.mark.slow
def test_a_process_that_is_killed_is_replaced_and_the_others_answer_meanwhile(tmp_path: Path) -> None:
    with running(2, tmp_path / "refused") as service:
        before = service.await_answerers(lambda seen: len(seen) == 2)
        os.kill(min(before), signal.SIGKILL)

        service.await_answerers(lambda seen: bool(seen - before))

        status, said = service.end()
    assert status == 0
    assert "a process that answers ended with status -9\n" in said


@pytest.mark.slow
def test_without_their_parent_the_processes_end(tmp_path: Path) -> None:
    with running(2, tmp_path / "refused") as service:
        service.await_answerers(lambda seen: len(seen) == 2)
        service.process.kill()
        service.process.wait(TIMEOUT_S)

        service.await_refusal()


@pytest.mark.parametrize("processes", [1, 3])
def test_settings_that_are_refused_end_it_with_one_line(tmp_path: Path, processes: int) -> None:
    refused = tmp_path / "refused"
    refused.touch()
    process = start(processes, refused)

    _, said = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 2
    assert "the settings are refused\n" in said
    assert "Traceback" not in said


def test_a_port_that_is_taken_and_a_host_that_is_unknown_are_errors_in_the_settings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{port}"):
            serve(_no_app, Listening(port=port), Event())
    with pytest.raises(SettingsError, match=r"cannot listen on nowhere\.invalid:0"):
        serve(_no_app, Listening("nowhere.invalid", 0), Event())


def _no_app() -> NoReturn:
    raise AssertionError("no application should be made")


def test_what_is_to_end_before_it_began_ends() -> None:
    stop, ports = Event(), list[int]()
    stop.set()

    serve(lambda: lambda _environ, _start: [], Listening(port=0), stop, ports.append)

    assert len(ports) == 1
