"""What is told of the service, and that docs/operations.md names what is there."""

from __future__ import annotations

import re
from datetime import timedelta

from sqlalchemy import Engine

from cds.nightly.lease import LENGTH
from cds.nightly.night import lease_of
from cds.operations.figures import REFUSALS_KEPT_S, SPREAD_KEPT_S, Operations
from cds.store.audit import AuditTrail
from cds.store.cards import CardRecords
from cds.store.runs import RunRecords, RunSummary
from cds.store.store import Store
from cds.web.app import Front, create_app
from cds.web.monitors import Monitors
from tests.cds.builders import MODEL, Clock, claimed, new_exam, refused, scored
from tests.cds.operations.drifting import put_drift
from tests.cds.pages.test_operations_page import fill
from tests.cds.web.conftest import Service
from tests.servers import CHECKOUT


def test_what_is_costly_to_count_is_kept_for_a_while(engine: Engine, store: Store) -> None:
    clock = Clock()
    operations = Operations(engine, MODEL.key, clock, clock.monotonic_s)
    assert (operations.refusals(), operations.spread()) == ({}, [])
    store.register([new_exam("1.2.1"), new_exam("1.2.2")], MODEL.key, clock())
    store.save_refusal(claimed(store), refused(), clock())
    store.save_score(claimed(store), scored("1.2.2"))

    assert (operations.refusals(), operations.spread()) == ({}, [])
    clock.advance(timedelta(seconds=REFUSALS_KEPT_S))
    assert (operations.refusals(), operations.spread()) == ({"missing-view": 1}, [])
    clock.advance(timedelta(seconds=SPREAD_KEPT_S))
    assert [one.month for one in operations.spread()] == ["2026-05"]


def test_the_spread_is_of_a_year_and_the_whole_of_its_first_month(engine: Engine, store: Store) -> None:
    clock = Clock()
    for number, day in enumerate(["2025-04-30", "2025-05-01", "2026-05-20"]):
        store.register([new_exam(f"1.2.{number}")], MODEL.key, clock())
        store.save_score(claimed(store), scored(f"1.2.{number}", day=clock().fromisoformat(day).date()))

    assert [one.month for one in Operations(engine, MODEL.key, clock).spread()] == ["2025-05", "2026-05"]


def test_only_the_runs_of_the_sites_model_are_its_nights(engine: Engine) -> None:
    runs, clock = RunRecords(engine), Clock()
    own, other = runs.start(MODEL.key, clock()), runs.start("another model", clock())
    runs.finish(other, RunSummary(scored=9), clock())

    assert [run.id for run in Operations(engine, MODEL.key, clock).runs()] == [own]


def test_a_run_is_under_way_while_somebody_has_its_lease_and_none_after_it_has_begun(engine: Engine) -> None:
    runs, clock = RunRecords(engine), Clock()
    operations = Operations(engine, MODEL.key, clock)
    runs.start(MODEL.key, clock())
    killed = operations.run_under_way()
    runs.take_lease(lease_of(MODEL.key), "a process", clock(), LENGTH)
    own = runs.start(MODEL.key, clock())

    assert (killed, operations.run_under_way()) == (None, own)
    clock.advance(LENGTH)
    assert operations.run_under_way() is None
    runs.take_lease(lease_of(MODEL.key), "a process", clock(), LENGTH)
    runs.finish(own, RunSummary(), clock())
    assert operations.run_under_way() is None


def test_every_metric_that_the_alerts_of_the_documentation_use_is_told(engine: Engine) -> None:
    alerts = (CHECKOUT / "docs" / "operations.md").read_text(encoding="utf-8").partition("## Alerts")[2]
    used = set(re.findall(r"mammotrend_[a-z0-9_]+", alerts.partition("## mammotrend check")[0]))
    service = Service(Store(engine), CardRecords(engine), AuditTrail(engine), engine)
    fill(service)
    put_drift(engine)
    service.store.register([new_exam("1.5.1")], MODEL.key, service.clock())
    client = create_app(service.parts(), Front(monitors=Monitors())).test_client()
    client.get("/healthz")

    told = set(re.findall(r"^mammotrend_[a-z0-9_]+", client.get("/metrics").text, re.MULTILINE))

    assert len(used) > 8
    assert used - told == set()
