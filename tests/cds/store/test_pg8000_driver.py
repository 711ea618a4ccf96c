"""Questions and answers over pg8000 as this program uses it, and a PostgreSQL that is killed under a question."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from pg8000 import InterfaceError
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cds.store.database import connect
from cds.store.database_faults import may_pass
from cds.store.pg8000_driver import ANSWER_S, LOST, _Connection, _reach
from cds.store.upgrade import upgrade_database
from tests.cds.https_server import self_signed
from tests.postgresql import PostgresqlServer

NO_TLS = b"N"
READY = b"Z\0\0\0\x05I"
WELCOME = b"R\0\0\0\x08\0\0\0\0" + READY
"""AuthenticationOk and ReadyForQuery (PostgreSQL, Message Formats)."""


@contextmanager
def killed_postgresql(folder: Path, *answers: bytes) -> Iterator[str]:
    """Gives these answers and is gone before it has read the next question; yields its address."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        server.listen()
        thread = threading.Thread(target=_serve, args=(server, answers))
        thread.start()
        yield f"postgresql+pg8000://u@/d?unix_sock={folder / 's'}"
        thread.join()


def _serve(server: socket.socket, answers: tuple[bytes, ...]) -> None:
    connection, _ = server.accept()
    with connection:
        for answer in answers:
            connection.recv(1 << 16)
            connection.sendall(answer)
        # What is left unread makes the other side's read a connection reset, and not a plain end.
        connection.recv(1, socket.MSG_PEEK)


def failure(url: str) -> str:
    """What connecting to it, which asks it some questions, fails with."""
    with pytest.raises(SQLAlchemyError) as raised:
        connect(url).connect()
    return str(raised.value)


@pytest.mark.parametrize("answers", [[NO_TLS], [NO_TLS, WELCOME]], ids=["while connecting", "under a question"])
def test_a_server_that_is_gone_is_an_error_of_the_database(answers: list[bytes], tmp_path: Path) -> None:
    with killed_postgresql(tmp_path, *answers) as url:
        assert "network error" in failure(url)


def test_so_is_one_that_is_gone_before_its_first_answer_and_no_socket_is_left_open(tmp_path: Path) -> None:
    with killed_postgresql(tmp_path) as url:
        assert "network error" in failure(url)
    gc.collect()


def test_a_connection_that_is_lost_leaves_no_socket_open(tmp_path: Path) -> None:
    with killed_postgresql(tmp_path, NO_TLS, WELCOME) as url:
        keywords = {"user": "u", "database": "d", "unix_sock": url.partition("unix_sock=")[2]}
        connection = _Connection(**keywords)
        opened, _held = connection._usock, connection._sock  # as the frames of an error hold it
        with pytest.raises(InterfaceError):
            connection.cursor().execute("SELECT 1")
        with suppress(InterfaceError):
            connection.close()
        assert opened.fileno() == -1


@contextmanager
def silent_postgresql(folder: Path, *answers: bytes) -> Iterator[str]:
    """Gives these answers, and none to the next question; yields its socket."""
    is_over = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            for answer in answers:
                connection.recv(1 << 16)
                connection.sendall(answer)
            is_over.wait()

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        server.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield str(folder / "s")
        is_over.set()
        thread.join()


def test_a_server_that_is_silent_when_it_is_reached_is_one_that_is_lost(tmp_path: Path) -> None:
    with silent_postgresql(tmp_path) as place:
        engine = connect(f"postgresql+pg8000://u@/d?unix_sock={place}&timeout=0.1")
        with pytest.raises(DBAPIError, match=LOST) as raised:
            engine.connect()
    assert may_pass(raised.value)


def test_a_server_that_is_silent_under_a_question_is_one_that_is_lost(tmp_path: Path) -> None:
    with silent_postgresql(tmp_path, NO_TLS, WELCOME) as place:
        connection = _Connection("u", database="d", unix_sock=place)
        assert connection._usock.gettimeout() == ANSWER_S
        connection.answer_within(0.1)
        with pytest.raises(InterfaceError, match=LOST):
            connection.cursor().execute("SELECT 1")
        connection.close()


def test_a_machine_that_is_gone_without_a_word_is_noticed_within_a_minute() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = _reach({"host": "127.0.0.1", "port": server.getsockname()[1]})
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        idle_s, every_s, count, unread_ms = (stream.getsockopt(socket.IPPROTO_TCP, option) for option in options)
        assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        stream.close()
    assert idle_s + every_s * count <= 60
    assert 0 < unread_ms <= 60_000


@pytest.mark.integration
def test_a_step_of_the_layout_may_take_longer_than_any_question(postgresql_server: PostgresqlServer) -> None:
    engine = connect(postgresql_server.new_database())
    waits: list[float | None] = []

    def look(connection: Any, *_: Any) -> None:
        waits.append(connection.connection.dbapi_connection._usock.gettimeout())

    event.listen(engine, "before_cursor_execute", look)
    upgrade_database(engine)
    of_steps = set(waits)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    engine.dispose()

    assert of_steps == {None}
    assert waits[-1] == ANSWER_S


@pytest.mark.integration
def test_a_value_that_cannot_be_written_spoils_no_other_question(postgresql_server: PostgresqlServer) -> None:
    engine = connect(postgresql_server.new_database())
    for _ in range(3):
        with pytest.raises(SQLAlchemyError), engine.connect() as connection:
            connection.execute(text("SELECT CAST(:value AS VARCHAR)"), {"value": "\ud800"})
        with engine.connect() as connection:
            assert connection.execute(text("SELECT CAST(:value AS VARCHAR)"), {"value": "a"}).scalar() == "a"
    engine.dispose()


@pytest.mark.integration
def test_a_value_that_cannot_be_read_spoils_no_other_question(postgresql_server: PostgresqlServer) -> None:
    engine = connect(postgresql_server.new_database())
    question = text("SELECT CAST(:value AS TIME)")
    for _ in range(3):
        with pytest.raises(SQLAlchemyError), engine.connect() as connection:
            connection.execute(question, {"value": "24:00"})  # Python knows no such time
        with engine.connect() as connection:
            assert connection.execute(question, {"value": "23:59"}).scalar() == time(23, 59)
    engine.dispose()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("DATE '2026-03-01'", date(2026, 3, 1)),
        ("TIMESTAMP '2026-03-01 08:05:09'", datetime.fromisoformat("2026-03-01T08:05:09")),
        ("TIMESTAMP '2026-03-01 08:05:09.25'", datetime.fromisoformat("2026-03-01T08:05:09.250")),
        ("TIMESTAMP 'infinity'", "infinity"),
        ("DATE '0044-03-15 BC'", "0044-03-15 BC"),
    ],
)
def test_a_day_and_a_moment_are_read_as_pg8000_reads_them(
    told: str, read: object, postgresql_server: PostgresqlServer
) -> None:
    engine = connect(postgresql_server.new_database())
    with engine.connect() as connection:
        assert connection.execute(text(f"SELECT {told}")).scalar_one() == read
    engine.dispose()


@pytest.mark.integration
def test_each_value_stands_where_its_question_names_it(postgresql_server: PostgresqlServer) -> None:
    engine = connect(postgresql_server.new_database())
    question = text("SELECT CAST(:a AS VARCHAR) || ' %s $1 % ' || CAST(:b AS VARCHAR), CAST(:b AS VARCHAR)")
    with engine.connect() as connection:
        for a, b in (("x", "y"), (None, "y"), ("%s", "$2")):
            whole = None if a is None else f"{a} %s $1 % {b}"
            assert tuple(connection.execute(question, {"a": a, "b": b}).one()) == (whole, b)
    engine.dispose()


@pytest.mark.integration
def test_a_question_with_a_fault_is_answered_once_and_the_next_one_is_answered_too(
    postgresql_server: PostgresqlServer,
) -> None:
    engine = connect(postgresql_server.new_database())
    question = text("SELECT 6 / CAST(:n AS INTEGER)")
    with engine.connect() as connection:
        with pytest.raises(DBAPIError, match="division by zero"):
            connection.execute(question, {"n": 0})
        connection.rollback()
        assert connection.execute(question, {"n": 2}).scalar_one() == 3
    engine.dispose()


def test_all_of_a_question_is_sent_before_the_first_answer(tmp_path: Path) -> None:
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        thread = threading.Thread(target=_hear_one_question, args=(server, heard))
        thread.start()
        connection = _Connection("u", database="d", unix_sock=str(tmp_path / "s"))
        connection.autocommit = True
        connection.cursor().execute("SELECT %s", ("1",))
        connection.close()
        thread.join()
    assert [tag for tag in _tags(heard[0]) if tag != "H"] == ["P", "B", "D", "E", "S"]


def _hear_one_question(server: socket.socket, heard: list[bytes]) -> None:
    connection, _ = server.accept()
    with connection:
        for answer in (NO_TLS, WELCOME):
            connection.recv(1 << 16)
            connection.sendall(answer)
        heard.append(connection.recv(1 << 16))
        connection.sendall(READY)
        connection.recv(1 << 16)


def _tags(messages: bytes) -> Iterator[str]:
    """The kinds of the messages: each begins with a letter and the length of all that follows it."""
    while messages:
        yield chr(messages[0])
        messages = messages[1 + int.from_bytes(messages[1:5]) :]


@contextmanager
def postgresql_with_tls(folder: Path, begun: list[bytes]) -> Iterator[tuple[str, Path]]:
    """Takes TLS, hears how a connection begins, and is gone; yields its address, and the file that vouches for it."""
    certificate, key = self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve() -> None:
        connection, _ = server.accept()
        connection.recv(1 << 16)
        connection.sendall(b"S")
        with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as secured:
            begun.append(secured.recv(1 << 16))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"postgresql+pg8000://ada@127.0.0.1:{server.getsockname()[1]}/d?sslmode=verify-full", certificate
        thread.join()


def test_a_server_is_told_nothing_before_its_certificate_is_found_good(tmp_path: Path) -> None:
    begun: list[bytes] = []
    with postgresql_with_tls(tmp_path, begun) as (url, _):
        assert "network error" in failure(url)
    assert begun == []

    with postgresql_with_tls(tmp_path, begun) as (url, certificate):
        failure(f"{url}&sslrootcert={certificate}")
    assert len(begun) == 1
    assert b"user\0ada" in begun[0]
    gc.collect()
