"""Opening a database, from several processes and with wrong addresses."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlmodel import Session

from cds.errors import DatabaseUnreachable, SettingsError
from cds.store.database import MOST_CONNECTIONS, open_database
from cds.store.tables import Exam
from tests.cds.builders import NOW
from tests.postgresql import PostgresqlServer
from tests.servers import CHECKOUT, left_out, temporary_folder, unprivileged

OPEN = """
import sys
from cds.store.database import open_database
print("ready", flush=True)
sys.stdin.readline()
open_database(sys.argv[1]).dispose()
"""


def test_all_tables_are_there_and_opening_again_changes_nothing(database_url: str) -> None:
    for _ in range(2):
        engine = open_database(database_url)
        assert {"exam", "scoring", "score"} <= set(inspect(engine).get_table_names())
        engine.dispose()


def test_processes_that_start_together_on_an_empty_database_all_open_it(database_url: str) -> None:
    command = [sys.executable, "-W", "error", "-c", OPEN, database_url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, **pipes) for _ in range(4)]  # type: ignore[call-overload] # noqa: S603
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1].decode() for process in processes]

    assert [process.returncode for process in processes] == [0] * 4, errors


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("not an address", "ArgumentError"),
        ("mysql://user:secret@db/x", "'mysql' is not supported; use sqlite or postgresql"),
        ("nosuchdatabase://db/x", "'nosuchdatabase' is not supported"),
        ("postgresql+nosuchdriver://user:secret@db/x", "NoSuchModuleError"),
        ("postgresql://user:secret@db/x", r"psycopg is not installed.* pip install 'mammotrend\[postgresql\]'"),
        ("sqlite:////nonexistent-folder/x.sqlite", "database_url: folder '/nonexistent-folder' does not exist"),
        ("postgresql+pg8000://user:secret@127.0.0.1/x?sslmode=prefer", "sslmode can only be verify-full"),
        ("postgresql+pg8000://user:secret@127.0.0.1/x?sslmode=verify-full&sslrootcert=/nonexistent", "sslrootcert"),
    ],
)
def test_a_database_that_cannot_be_opened_is_a_settings_error_without_its_password(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        open_database(url)
    assert "secret" not in str(caught.value)


def test_a_database_that_does_not_answer_may_answer_later() -> None:
    with pytest.raises(DatabaseUnreachable, match="does not answer") as caught:
        open_database("postgresql+pg8000://user:secret@/x?unix_sock=/nonexistent-folder/socket")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("make_sure", [True, False])
def test_a_file_is_made_only_where_it_need_not_exist(tmp_path: Path, make_sure: bool) -> None:
    file = tmp_path / "stroe.sqlite"

    if make_sure:
        with pytest.raises(SettingsError, match=f"there is no database '{file}'; name the .* by --config"):
            open_database(f"sqlite:///{file}", must_exist=True)
    else:
        open_database(f"sqlite:///{file}").dispose()

    assert file.exists() != make_sure
    open_database("sqlite://", must_exist=True).dispose()  # in memory there is never one before


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


def test_sqlite_keeps_a_write_ahead_log_and_holds_references(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}")
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        assert connection.execute(text("PRAGMA busy_timeout")).scalar_one() >= 5000
    engine.dispose()


@pytest.mark.integration
def test_a_process_keeps_all_its_connections_to_a_server(postgresql_server: PostgresqlServer) -> None:
    engine = open_database(postgresql_server.new_database())
    used = [backends(engine, MOST_CONNECTIONS) for _ in range(2)]
    assert len(used[0]) == MOST_CONNECTIONS
    assert used[0] == used[1]
    engine.dispose()


def backends(engine: Engine, count: int) -> set[int]:
    """The server's processes that so many connections at once are of."""
    with ExitStack() as stack:
        opened = [stack.enter_context(engine.connect()) for _ in range(count)]
        return {connection.execute(text("SELECT pg_backend_pid()")).scalar_one() for connection in opened}


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


def test_errors_do_not_quote_the_values_of_their_statement(engine: Engine) -> None:
    def write() -> None:
        with Session(engine) as session:
            session.add(Exam(ehr="e", patient_id="secret-patient", key="1.2", study_uid="1.2", first_seen_at=NOW))
            session.commit()

    write()
    with pytest.raises(IntegrityError) as caught:
        write()
    assert isinstance(caught.value, SQLAlchemyError)
    assert "[SQL parameters hidden" in str(caught.value)
