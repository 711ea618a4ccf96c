"""Clients that are slow, many or malformed, at a real socket, and those beside them that are answered."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any

import pytest

from cds.web.connections import ConnectionLimits, answer
from cds.web.door import Door

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

TRIES = 200
SMALL = ConnectionLimits(threads=2, slow_client_s=0.5, largest_request_bytes=10_000, longest_end_s=20)
TIMEOUT_S = 30.0


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """An application that answers with the body of the request."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def tell_client(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """An application that answers with what a proxy says of whose request it is."""
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["HTTP_X_FORWARDED_FOR"].encode()]


@dataclass
class Holding:
    """An application that holds every call to /held until it is let go."""

    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    let_go: threading.Event = field(default_factory=threading.Event)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/held":
            self.begun.release()
            self.let_go.wait(2 * TIMEOUT_S)  # longer than any client waits
        return echo(environ, start_response)


@dataclass
class Running:
    """A server that answers in a thread of its own."""

    port: int
    over: threading.Event
    thread: threading.Thread

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S)

    def post(self, body: bytes, path: str = "/") -> tuple[int, bytes]:
        """The status and the body of one call."""
        asking = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            asking.request("POST", path, body)
            response = asking.getresponse()
            return response.status, response.read()
        finally:
            asking.close()


class SomebodysDoor(Door):
    """A door that is opened and shut by a test, and knows what it was told of the calls in hand."""

    def __init__(self, threads: int = SMALL.threads) -> None:
        super().__init__(threads)
        self.is_shut = False
        self.told: set[tuple[int, int]] = set()

    def lets_in(self, at_work: int, new: int) -> bool:
        self.told.add((at_work, new))
        return not self.is_shut and super().lets_in(at_work, new)

    def is_held(self, new: int) -> bool:
        return self.is_shut or super().is_held(new)

    def is_told(self, at_work: int, new: int) -> bool:
        """Whether that many calls come to be at work, that many of them new, before a client would give up."""
        ends_s = time.monotonic() + TIMEOUT_S
        self.told.clear()
        while (at_work, new) not in self.told and time.monotonic() < ends_s:
            time.sleep(0.01)
        return (at_work, new) in self.told


@contextmanager
def server(
    app: Any = echo, limits: ConnectionLimits = SMALL, door_for: Callable[[int], Door] = Door
) -> Iterator[Running]:
    """A server on loopback while the block runs."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port = opened.getsockname()[1]
        thread = threading.Thread(target=answer, args=(app, limits, [opened], over.is_set, door_for))
        thread.start()
        try:
            yield Running(port, over, thread)
        finally:
            over.set()
            thread.join(TIMEOUT_S)
    assert not thread.is_alive()


def is_cut(client: socket.socket, drip: bytes) -> bool:
    """Whether the server closes a connection on which these bytes come again and again, before they end."""
    client.settimeout(0.05)
    for _ in range(TRIES):
        try:
            client.sendall(drip)
            if client.recv(1) == b"":
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


def let_the_time_pass(running: Running) -> None:
    """Go on when clients that began before would have been cut."""
    for _ in range(2):
        with running.connect() as silent:
            assert is_cut(silent, b"")


def answer_to(client: socket.socket) -> bytes:
    """The body of the answer that comes."""
    response = HTTPResponse(client)
    response.begin()
    assert response.status == 200
    return response.read()


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("begin", "drip"),
    [
        pytest.param(b"", b"", id="says nothing"),
        pytest.param(b"", b"\r\n", id="empty lines"),
        pytest.param(HEAD, b"", id="stops in the headers"),
        pytest.param(HEAD, b"X: y\r\n", id="headers without an end"),
        pytest.param(HEAD + b"Content-Length: 9000\r\n\r\n", b"x", id="a byte of the body at a time"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", id="chunks without an end"),
        pytest.param(HEAD + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", b"", id="asks whether to go on"),
    ],
)
def test_a_client_that_is_slow_with_its_request_is_cut_and_others_are_answered_meanwhile(
    begin: bytes, drip: bytes
) -> None:
    with server() as running, ExitStack() as slow_ones:
        # More than there are threads.
        clients = [slow_ones.enter_context(running.connect()) for _ in range(5)]
        for client in clients:
            client.sendall(begin)
        assert running.post(b"answered") == (200, b"answered")

        if b"Expect" in begin:
            assert clients[0].recv(100).startswith(b"HTTP/1.1 100")
        assert is_cut(clients[0], drip)

        assert running.post(b"answered") == (200, b"answered")


def test_a_second_request_on_a_connection_is_held_to_the_same_time_as_the_first() -> None:
    with server() as running, running.connect() as client:
        client.sendall(HEAD + b"Content-Length: 2\r\n\r\nhi")
        assert answer_to(client) == b"hi"

        assert is_cut(client, b"X")


def test_a_process_whose_threads_are_all_at_work_lets_nobody_in_whom_another_could_answer() -> None:
    app, over = Holding(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as shared:
        running = Running(shared.getsockname()[1], over, threading.current_thread())
        processes = [
            threading.Thread(target=answer, args=(app, ConnectionLimits(threads=1), [shared.dup()], over.is_set))
            for _ in range(2)
        ]
        for each in processes:
            each.start()
        with running.connect() as held:
            held.sendall(b"POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
            assert app.begun.acquire(timeout=TIMEOUT_S)
            answered = [running.post(b"answered") for _ in range(20)]
            app.let_go.set()
            assert answer_to(held) == b"hi"
        over.set()
        for each in processes:
            each.join(TIMEOUT_S)
    assert answered == [(200, b"answered")] * 20


def test_clients_that_wait_for_their_answer_or_for_a_thread_are_not_slow() -> None:
    app = Holding()
    with server(app) as running, ExitStack() as waiting:
        clients = [waiting.enter_context(running.connect()) for _ in range(5)]
        for client in clients:  # so that each is let in while there is a thread
            client.sendall(HEAD + b"Content-Length: 2\r\n\r\nhi")
            assert answer_to(client) == b"hi"
        *asking, slow = clients
        for client in asking:
            client.sendall(b"POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        assert app.begun.acquire(timeout=TIMEOUT_S)
        assert is_cut(slow, b"X")
        app.let_go.set()

        assert [answer_to(client) for client in asking] == [b"hi"] * 4


def test_a_connection_is_kept_for_the_next_request() -> None:
    with server() as running, running.connect() as client:
        for _ in range(2):
            client.sendall(HEAD + b"Content-Length: 2\r\n\r\nhi")
            assert answer_to(client) == b"hi"
            let_the_time_pass(running)


def test_a_client_that_does_not_take_its_answer_is_cut() -> None:
    large = b"x" * 15_000_000

    def much(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Length", str(len(large)))])
        return [large]

    with server(much) as running, running.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)  # or the system would take it for us
        client.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        let_the_time_pass(running)
        taken = 0
        try:
            while chunk := client.recv(1_000_000):
                taken += len(chunk)
        except ConnectionError:
            pass

    assert taken < len(large)


def test_two_hundred_half_open_connections_do_not_keep_anybody_from_an_answer() -> None:
    with server(limits=ConnectionLimits(threads=2)) as running, ExitStack() as half_open:
        for _ in range(200):
            half_open.enter_context(running.connect()).sendall(HEAD)

        assert [running.post(b"answered") for _ in range(20)] == [(200, b"answered")] * 20


def test_more_connections_than_allowed_wait_until_the_slow_ones_are_cut() -> None:
    limits = ConnectionLimits(threads=2, slow_client_s=0.5, connections=20)
    with server(limits=limits) as running, ExitStack() as half_open:
        for _ in range(40):
            half_open.enter_context(running.connect()).sendall(HEAD)

        assert running.post(b"answered") == (200, b"answered")


# What the server itself refuses


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"POST /hidden HTTP/1.1\r\nHidden header: hidden\r\n\r\n", 400),
        (b"POST /hidden HTTP/1.1\r\nContent-Length: hidden\r\n\r\n", 400),
        (b"POST /hidden HTTP/1.1\r\nTransfer-Encoding: hidden\r\n\r\n", 501),
        (b"POST /hidden HTTP/1.1\r\nContent-Length: 20001\r\n\r\n", 413),
        (b"POST /hidden HTTP/1.1\r\nX: " + b"hidden" * 20_000 + b"\r\n\r\n", 431),
        (b"hidden\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused_with_an_operation_outcome_that_quotes_nothing(
    request_text: bytes, status: int
) -> None:
    with server() as running, running.connect() as client:
        client.sendall(request_text)
        response = HTTPResponse(client)
        response.begin()
        body = response.read()

    assert (response.status, json.loads(body)["resourceType"]) == (status, "OperationOutcome")
    assert b"hidden" not in body
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Type"] == "application/json"
    assert "waitress" not in f"{response.headers}{body!r}"


@pytest.mark.parametrize("length", [b"5", b"0", b"50", b"x"])
def test_a_request_with_two_lengths_is_refused_and_what_follows_it_is_not_read(length: bytes) -> None:
    both = b"Transfer-Encoding: chunked\r\nContent-Length: " + length + b"\r\n\r\n0\r\n\r\n"
    with server() as running, running.connect() as client:
        client.sendall(HEAD + both + HEAD + b"Content-Length: 8\r\n\r\nsmuggled")
        received = b"".join(iter(lambda: client.recv(4096), b""))

    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1") == 1
    assert b"smuggled" not in received


def test_a_request_a_little_too_large_is_left_to_the_application() -> None:
    with server() as running:
        assert running.post(b"x" * 15_000)[0] == 200


# The end


def test_what_is_in_hand_at_the_end_is_answered_and_nobody_new_is_let_in() -> None:
    app, got = Holding(), []
    with server(app, ConnectionLimits(threads=8)) as running:
        calls = [threading.Thread(target=lambda: got.append(running.post(b"hi", "/held"))) for _ in range(4)]
        for call in calls:
            call.start()
        assert all(app.begun.acquire(timeout=TIMEOUT_S) for _ in calls)
        with running.connect() as arriving:
            arriving.sendall(HEAD + b"Content-Length: 2\r\n\r\n")
            assert running.post(b"in time") == (200, b"in time")  # so the one before has been let in
            running.over.set()
            _await_refusal(running)
            arriving.sendall(b"hi")
            app.let_go.set()
            assert answer_to(arriving) == b"hi"
        for call in calls:
            call.join(TIMEOUT_S)

    assert got == [(200, b"hi")] * 4


def test_who_waits_for_a_thread_at_the_end_is_answered_too() -> None:
    app = Holding()
    head = b"POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
    with server(app, ConnectionLimits(threads=1)) as running, ExitStack() as waiting:
        clients = [waiting.enter_context(running.connect()) for _ in range(4)]
        for client in clients:
            client.sendall(head)
        assert app.begun.acquire(timeout=TIMEOUT_S)
        running.over.set()
        _await_refusal(running)
        app.let_go.set()

        assert [answer_to(client) for client in clients] == [b"hi"] * 4


def _await_refusal(running: Running) -> None:
    for _ in range(TRIES):
        try:
            running.connect().close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            pass  # the door was closed just then
        time.sleep(0.05)
    pytest.fail("the server still lets clients in")


def test_a_call_that_does_not_end_does_not_keep_the_server_from_ending() -> None:
    app = Holding()
    limits = ConnectionLimits(threads=2, longest_end_s=0.1)
    with server(app, limits) as running, running.connect() as client:
        client.sendall(b"POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert app.begun.acquire(timeout=TIMEOUT_S)
        running.over.set()
        running.thread.join(TIMEOUT_S)
        assert not running.thread.is_alive()
        app.let_go.set()


def test_who_stands_before_a_shut_door_comes_in_once_it_opens() -> None:
    door = SomebodysDoor()
    door.is_shut = True
    with server(door_for=lambda _threads: door) as running, running.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        door.is_shut = False
        client.settimeout(TIMEOUT_S)
        assert answer_to(client) == b"hi"


def test_the_door_is_told_who_is_at_work_and_who_of_them_is_new() -> None:
    app, door = Holding(), SomebodysDoor()
    head = b"POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
    with (
        server(app, ConnectionLimits(threads=1), lambda _threads: door) as running,
        running.connect() as first,
        running.connect() as second,
    ):
        for client in (first, second):  # once they are answered they are inside
            client.sendall(head.replace(b"/held", b"/"))
            assert answer_to(client) == b"hi"
        first.sendall(head)
        assert app.begun.acquire(timeout=TIMEOUT_S)
        assert door.is_told(at_work=1, new=0)
        second.sendall(head)
        assert door.is_told(at_work=2, new=1), "a call that waits for a thread is new for as long as it waits"
        app.let_go.set()
        assert [answer_to(client) for client in (first, second)] == [b"hi"] * 2
        assert door.is_told(at_work=0, new=0), "clients that keep their connections are not at work"


def test_whom_a_proxy_names_the_application_is_told() -> None:
    with server(tell_client) as running, running.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.7\r\nConnection: close\r\n\r\n")
        answered = client.makefile("rb").read()

    assert answered.endswith(b"\r\n\r\n203.0.113.7")
