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
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from cds.errors import DatabaseUnreachable, SettingsError
from cds.store.database import open_database
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
