"""Bringing a database to the layout of this program, step by step, and saying where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

from cds.errors import SettingsError

MIGRATIONS = Path(__file__).parent / "migrations"
BEFORE_REVISIONS = "0001"
"""The layout of a database that has tables and no revision: it was made before databases carried one."""
# Of two processes that start together one upgrades, the other waits and finds it done. The number is our own.
_ONE_AT_A_TIME = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(20260520)"}
DATABASES = tuple(_ONE_AT_A_TIME)


def prepare(engine: Engine, *, upgrade: bool) -> None:
    """Set up an empty database, and bring an older one up to date if asked; SettingsError where it does not fit."""
    with engine.connect() as connection:
        revision = _revision(connection)
    if revision == newest_revision():
        return
    if revision is not None and not upgrade:
        _check_known(revision)
        raise SettingsError(
            f"database_url: the database has the layout {revision}, this program needs {newest_revision()}; back it "
            "up and run `mammotrend db upgrade`, or set upgrade_database = true"
        )
    upgrade_database(engine)


def upgrade_database(engine: Engine) -> str | None:
    """Run every step that the database lacks, all of them or none; the revision it had, None for an empty one."""
    config = _config()
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            # Steps that make a table anew would else trip over the rows that refer to it; a transaction is too late.
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        if connection.dialect.driver == "pg8000":
            # A step may take longer than any question. This connection goes back to nobody.
            connection.detach()
            driver: Any = connection.connection.dbapi_connection
            driver.answer_within(None)
        connection.exec_driver_sql(_ONE_AT_A_TIME[connection.dialect.name])
        before = _revision(connection)
        if before is not None:
            _check_known(before)
        if before == BEFORE_REVISIONS and not _is_marked(connection):
            command.stamp(_with(config, connection), BEFORE_REVISIONS)
        command.upgrade(_with(config, connection), "head")
        connection.commit()
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    return before


def newest_revision() -> str:
    """The layout that this program works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None  # noqa: S101 # the steps ship with the package
    return head


def database_revision(engine: Engine) -> str | None:
    """The layout that the database has, None for an empty one."""
    with engine.connect() as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str | None:
    # The tables first: between the two questions another process may have made both, and they come in one transaction.
    has_tables = inspect(connection).has_table("exam")
    found = MigrationContext.configure(connection).get_current_revision()
    return BEFORE_REVISIONS if found is None and has_tables else found


def _is_marked(connection: Connection) -> bool:
    return MigrationContext.configure(connection).get_current_revision() is not None


def _check_known(revision: str) -> None:
    known = {step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision not in known:
        raise SettingsError(
            f"database_url: the database has the layout {revision!r} of a newer program; install that one"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _with(config: Config, connection: Connection) -> Config:
    config.attributes["connection"] = connection
    return config
