"""A site of four women with five exams, of which one is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cds.store.database import open_database
from tests.cds.builders import refused
from tests.cds.scoring.fakes import FakeScorer
from tests.faults.site import Site, open_site


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An empty SQLite file."""
    engine = open_database(f"sqlite:///{tmp_path / 'site.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture
def site(engine: Engine, tmp_path: Path) -> Iterator[Site]:
    """The running site, before its first night."""
    with open_site(engine, tmp_path / "images") as site:
        admit_everybody(site)
        yield site


def admit_everybody(site: Site) -> None:
    """Four women, five exams."""
    site.scorer = FakeScorer(s1_2_4=refused("1.2.4"))
    site.admit("p0", "1.2.0", "1.2.1")
    site.admit("p1", "1.2.2")
    site.admit("p2", "1.2.3")
    site.admit("p3", "1.2.4")
