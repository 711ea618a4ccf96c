"""The site's database in a file, as several threads and processes share it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cds.store.database import open_database
from cds.store.store import Store


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An empty SQLite database."""
    engine = open_database(f"sqlite:///{tmp_path / 'site.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> Store:
    """A store on that database."""
    return Store(engine)
