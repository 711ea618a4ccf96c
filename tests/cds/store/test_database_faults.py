"""What a site is told of a database that cannot be opened."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from cds.errors import DatabaseUnreachable, SettingsError
from cds.store.database import connect, open_database
from cds.store.database_faults import concerns_all
from tests.postgresql import PostgresqlServer
from tests.servers import CHECKOUT, left_out, temporary_folder, unprivileged


def test_a_database_that_does_not_answer_may_answer_later() -> None:
    with pytest.raises(DatabaseUnreachable, match="does not answer") as caught:
        open_database("postgresql+pg8000://user:secret@/x?unix_sock=/nonexistent-folder/socket")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("must_exist", [True, False])
@pytest.mark.parametrize(("folder_mode", "blamed"), [(0o755, "site.sqlite"), (0o700, "")])
def test_a_file_of_another_user_is_named_with_its_owner(
    tmp_path: Path, must_exist: bool, folder_mode: int, blamed: str
) -> None:
    with temporary_folder() as folder:
        as_another = unprivileged(folder)
        if not as_another:
            left_out("the tests run as a user who can make no file of another one: run them as root")
        theirs = folder / "theirs"
        theirs.mkdir(mode=folder_mode)
        theirs.chmod(folder_mode)
        open_database(f"sqlite:///{theirs / 'site.sqlite'}").dispose()
        (theirs / "site.sqlite").chmod(0o600)
        opening = f"open_database('sqlite:///{theirs / 'site.sqlite'}', must_exist={must_exist})"
        command = [*as_another, sys.executable, "-c", f"from cds.store.database import open_database; {opening}"]
        ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)  # noqa: S603 # ours

    said = f"this user may not read and write '{theirs / blamed}', which belongs to 'root'"
    assert said in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("code", "may_pass", "said"),
    [
        ("57P01", True, "does not answer"),
        ("57P03", True, "does not answer"),
        ("53300", True, "does not answer"),
        ("28000", False, "does not let in the user of the address: make the role"),
        ("28P01", False, "refuses the user or the password"),
        ("3D000", False, "no such database: make it"),
        ("42P01", False, "correct it"),
    ],
)
def test_what_postgresql_says_of_itself_decides_whether_it_may_answer_later_and_what_to_do(
    code: str, may_pass: bool, said: str
) -> None:
    answer = b"SFATAL\0C" + code.encode() + b"\0Mthe reason\0\0"
    refusing = refusing_postgresql(b"E" + (len(answer) + 4).to_bytes(4) + answer)
    with refusing as port, pytest.raises(SettingsError, match=said) as caught:
        open_database(f"postgresql+pg8000://user@127.0.0.1:{port}/x")
    assert isinstance(caught.value, DatabaseUnreachable) == may_pass


@contextmanager
def refusing_postgresql(answer: bytes) -> Iterator[int]:
    """Has no TLS and answers a start with this; yields its port."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            for said in (b"N", answer):
                connection.recv(1 << 16)
                connection.sendall(said)
            connection.recv(1 << 16)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_file_that_is_no_database_is_a_settings_error(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear colleague, " * 100)

    with pytest.raises(SettingsError, match="DatabaseError"):
        open_database(f"sqlite:///{file}")
    assert file.read_text().startswith("Dear colleague")


@pytest.mark.integration
def test_what_a_server_lacks_is_named_until_the_role_owns_its_database(postgresql_server: PostgresqlServer) -> None:
    of_superuser = postgresql_server.new_database()
    url = of_superuser.replace("mammotrend@", "newcomer@")
    administrator = create_engine(of_superuser, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    with administrator.connect() as connection:
        with pytest.raises(SettingsError, match="make the role"):
            open_database(url)
        connection.execute(text("CREATE ROLE newcomer LOGIN"))
        with pytest.raises(SettingsError, match="no such database: make it"):
            open_database(url.replace("/test_", "/nosuch_"))
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        with pytest.raises(SettingsError, match="make that role the database's owner"):
            open_database(url)
        connection.execute(text(f"ALTER DATABASE {make_url(url).database} OWNER TO newcomer"))
        open_database(url).dispose()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (code, True)
        for code in ("53100", "53200", "40P01", "40001", "55P03", "57014", "25006", "57P01", "42P01", "XX001")
    ]
    + [(code, False) for code in ("22021", "22003", "23505", "54000")],
)
def test_what_postgresql_fails_with_concerns_all_unless_it_is_of_a_value(
    code: str, expected: bool, postgresql_server: PostgresqlServer
) -> None:
    engine = connect(postgresql_server.new_database())
    fault = fault_of(engine, f"DO $$ BEGIN RAISE EXCEPTION 'secret' USING ERRCODE = '{code}'; END $$")

    assert concerns_all(fault) == expected


@pytest.mark.integration
def test_a_text_that_postgresql_cannot_be_sent_is_of_a_value(postgresql_server: PostgresqlServer) -> None:
    engine = connect(postgresql_server.new_database())

    assert not concerns_all(fault_of(engine, "SELECT CAST(:value AS VARCHAR)", value="\ud800"))
    assert not concerns_all(fault_of(engine, "SELECT CAST(:value AS VARCHAR)", value="\0"))


def test_what_sqlite_fails_with_concerns_all_unless_it_is_of_a_value() -> None:
    engine = connect("sqlite://")

    assert concerns_all(fault_of(engine, "SELECT 1 FROM nowhere"))
    assert not concerns_all(fault_of(engine, "INSERT INTO one VALUES (NULL)", "CREATE TABLE one (a NOT NULL)"))
    assert not concerns_all(OverflowError("Python int too large to convert to SQLite INTEGER"))


def fault_of(engine: Engine, question: str, *before: str, **values: object) -> SQLAlchemyError:
    """What a database fails with."""
    with engine.connect() as connection:
        for statement in before:
            connection.execute(text(statement))
        with pytest.raises(SQLAlchemyError) as raised:
            connection.execute(text(question), values)
    engine.dispose()
    return raised.value
