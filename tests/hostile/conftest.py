"""A database of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from cds.store.database import open_database


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An empty SQLite database in memory, for one thread."""
    engine = open_database("sqlite://")
    yield engine
    engine.dispose()
