"""What the studies of the store are tested on: every database that it supports."""

from __future__ import annotations

from tests.cds.store.conftest import database_url, engine, store

__all__ = ["database_url", "engine", "store"]
