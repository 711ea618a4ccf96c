"""The site's database in a file, as several threads and processes share it; and what commands change, put back."""

from __future__ import annotations

import logging
import os
import warnings
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


@pytest.fixture
def logging_as_found() -> Iterator[None]:
    """Commands set up logging, warnings and the file mode for their own process; here they share ours."""
    mask = os.umask(0o022)
    loggers = [logging.getLogger(name) for name in ("", "pydicom", "apscheduler", "waitress", "urllib3")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    with warnings.catch_warnings():
        yield
    os.umask(mask)
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
