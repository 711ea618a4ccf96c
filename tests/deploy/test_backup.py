"""A copy of a database in a file, made and put back by the commands of docs/run.md."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from cds.operations.safety import refuse_unsafe
from cds.settings import Settings
from cds.store.audit import AccessEvent, Action, AuditTrail
from cds.store.database import open_database
from tests.cds.builders import EHR, NOW, PATIENT
from tests.docs.pages import commands_in_blocks
from tests.servers import left_out

COPIES, STATE = "/var/backups/mammotrend", "/var/lib/mammotrend/"
COMMANDS = [written.command for written in commands_in_blocks() if COPIES in written.command]


def run(command: str, folder: Path) -> None:
    """A command of the page, below this folder and for whoever runs the tests."""
    here = command.replace(COPIES, f"{folder}/copies").replace(STATE, f"{folder}/state/")
    shell = ["/bin/sh", "-c", here.replace("-o mammotrend -g mammotrend", "")]
    subprocess.run(shell, check=True, capture_output=True)  # noqa: S603 # of a page of ours


def entries(file: Path) -> int:
    """How many entries the whole trail of a database has."""
    engine = open_database(f"sqlite:///{file}")
    verified = AuditTrail(engine).verify()
    engine.dispose()
    assert verified.fault is None
    return verified.head.number


@pytest.mark.integration
def test_what_was_copied_while_somebody_wrote_is_what_is_put_back(tmp_path: Path) -> None:
    if shutil.which("sqlite3") is None:
        left_out("sqlite3 is not installed: sudo apt-get install sqlite3")
    make_folder, copy, *put_back = COMMANDS
    file, copied = tmp_path / "state" / "mammotrend.sqlite", tmp_path / "copies" / "mammotrend.sqlite"
    file.parent.mkdir()
    settings = Settings(database_url=f"sqlite:///{file}")
    engine = open_database(settings.database_url)
    trail = AuditTrail(engine)
    trail.record(AccessEvent(Action.SEEN, NOW, EHR, PATIENT))
    with engine.connect():  # what is written meanwhile is in the file beside it
        trail.record(AccessEvent(Action.SEEN, NOW, EHR, PATIENT))
        for command in (make_folder, copy):
            run(command, tmp_path)
        trail.record(AccessEvent(Action.SEEN, NOW, EHR, PATIENT))
    engine.dispose()
    left_behind = file.with_name(f"{file.name}-wal")
    left_behind.write_bytes(b"of a process that was killed")
    for command in put_back:
        run(command, tmp_path)

    assert stat.S_IMODE(copied.stat().st_mode) == 0o600
    assert not left_behind.exists()
    refuse_unsafe(settings)
    assert entries(file) == 2
    assert entries(tmp_path / "copies" / "replaced" / "mammotrend.sqlite") == 3
