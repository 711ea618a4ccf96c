"""A copy by PostgreSQL's own programs, as docs/run.md says to archive one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import make_url

from cds.store.audit import AccessEvent, Action, AuditTrail
from cds.store.database import open_database
from tests.cds.builders import EHR, NOW, PATIENT
from tests.postgresql import PostgresqlServer
from tests.servers import left_out


def run(program: str, database_url: str, *arguments: str) -> None:
    """One of PostgreSQL's programs on a database."""
    url = make_url(database_url)
    folder = Path(str(url.query["unix_sock"])).parent
    found = shutil.which(program) or left_out("PostgreSQL's programs are not installed: postgresql-client")
    command = [found, "--host", str(folder), "--username", str(url.username), *arguments]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own arguments


@pytest.mark.integration
def test_a_restored_copy_holds_the_whole_trail_and_can_be_added_to(
    postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    here, there = postgresql_server.new_database(), postgresql_server.new_database()
    file, names = str(tmp_path / "copy.dump"), [str(make_url(url).database) for url in (here, there)]
    engine = open_database(here)
    AuditTrail(engine).record(AccessEvent(Action.SEEN, NOW, EHR, PATIENT))

    run("pg_dump", here, "--format=custom", f"--file={file}", names[0])
    run("pg_restore", there, "--exit-on-error", f"--dbname={names[1]}", file)

    copy = open_database(there)
    assert AuditTrail(copy).verify() == AuditTrail(engine).verify()
    AuditTrail(copy).record(AccessEvent(Action.SEEN, NOW, EHR, PATIENT))
    assert [entry.number for entry in AuditTrail(copy).entries()] == [1, 2]
    engine.dispose()
    copy.dispose()
