"""Opening a database, from several processes and with wrong addresses."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlmodel import Session

from cds.errors import SettingsError
from cds.store.database import MOST_CONNECTIONS, open_database
from cds.store.tables import Exam
from tests.cds.builders import NOW
from tests.postgresql import PostgresqlServer

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
