"""Fixtures that every test may ask for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import settings
from playwright.sync_api import Browser

from tests.browser.chromium import chromium
from tests.postgresql import PostgresqlServer, postgresql
from tests.servers import OrthancServer, SekmetServer, orthanc, sekmet

settings.register_profile("untimed", settings(), deadline=None)  # how long an example takes is the machine's matter
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, then those with many: at the end no worker is left alone with a long one."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (slow[item.path], tests[item.path]), reverse=True)


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """Commands keep the files of their process private; the next test's are as they were."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def orthanc_server() -> Iterator[OrthancServer]:
    """One Orthanc for the whole session: store under new UIDs, and leave what others stored alone."""
    with orthanc() as server:
        yield server


@pytest.fixture(scope="session")
def sekmet_server() -> Iterator[SekmetServer]:
    """One sekmet-fhir for the whole session: create new patients, and leave what others created alone."""
    with sekmet() as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a module: open a page of your own in it. Not for the session: while it is there, no asyncio."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """One PostgreSQL for the whole session: take a new database from it."""
    with postgresql() as server:
        yield server
