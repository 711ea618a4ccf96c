"""PostgreSQL is killed under a worker, and started again: the worker goes on, and nothing is lost or there twice."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cds.store.audit import Action
from cds.store.database import open_database
from tests.faults.books import audited, scores
from tests.faults.conftest import admit_everybody
from tests.faults.front import silent_for
from tests.faults.running import is_finished, until, working
from tests.faults.site import open_site
from tests.postgresql import postgresql_cluster

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MORE = [f"1.2.{number}" for number in range(10, 40)]


def is_scored(engine: Engine, count: int) -> bool:
    """Whether so many exams are."""
    return len(scores(engine)) >= count


def store_failed(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether somebody has noticed."""
    return "the store failed" in caplog.text


def test_a_worker_whose_postgresql_is_killed_again_and_again_goes_on_by_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with postgresql_cluster() as cluster, ExitStack() as running:
        server, process = running.enter_context(cluster.up())
        engine = open_database(server.new_database())
        site = running.enter_context(open_site(engine, tmp_path))
        admit_everybody(site)
        for uid in MORE:
            site.admit(f"w{uid}", uid)
        with site.pacs.down():
            site.night()
        site.clock.advance(timedelta(hours=1))
        # Slow enough that each time some exams are in hand and many wait.
        with site.pacs.failing(silent_for(0.02)), working(site):
            for scored in (3, 12, 21):
                until(site, partial(is_scored, engine, scored))
                caplog.clear()
                process.send_signal(signal.SIGKILL)
                process.wait()
                until(site, partial(store_failed, caplog))
                server, process = running.enter_context(cluster.up())
            until(site, lambda: is_finished(site))

        assert set(audited(engine, Action.SCORED).values()) == {1}
        assert set(audited(engine, Action.ASSESSED).values()) == {1}
        assert site.unfinished() == []
        engine.dispose()
