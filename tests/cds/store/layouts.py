"""Databases as earlier programs laid them out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine

from cds.store.upgrade import MIGRATIONS


@contextmanager
def laid_out(engine: Engine, revision: str) -> Iterator[Connection]:
    """An empty database brought to this layout, in a transaction in which the block fills it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        yield connection
