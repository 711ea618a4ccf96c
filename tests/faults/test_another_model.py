"""While another model scores the archive the site's own nights go on, whatever becomes of either."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from cds.nightly.lease import LENGTH
from cds.nightly.night import RunUnderWay, lease_of
from cds.scoring.books import LEASE
from cds.store.runs import RunRecords, RunSummary
from cds.store.store import EVERYTHING, Store
from cds.store.tables import ScoringState
from tests.cds.builders import EHR, MODEL
from tests.faults.site import LONG_ENOUGH, Site

pytestmark = pytest.mark.slow

ANOTHER = replace(MODEL, weights="f" * 64)
DAY = timedelta(days=1)


def read_up_to(site: Site) -> datetime | None:
    """The watermark of the site's EHR."""
    return RunRecords(site.engine).watermark(f"ehr {EHR}")


def errands(site: Site) -> tuple[int, int, int]:
    """How many of the other model's are queued, scored and refused."""
    queued, scored, refused = (Store(site.engine).count(ANOTHER.key, state) for state in ScoringState)
    return queued, scored, refused


def test_what_comes_while_another_model_is_at_the_archive_is_found_by_the_night_and_scored_by_both(site: Site) -> None:
    site.night()
    site.clock.advance(DAY)
    site.admit("p5", "1.2.5")
    nights: list[RunSummary] = []

    summary = site.rescore(ANOTHER, meanwhile=lambda: nights.append(site.night()))

    assert [(night.found, night.scored, night.written, night.problems) for night in nights] == [(1, 1, 1, ())]
    assert (summary.found, summary.scored, summary.written, summary.failed) == (0, 5, 0, {})
    assert site.unfinished() == []
    assert errands(site) == (0, 5, 1)
    assert len(site.charts.all("RiskAssessment")) == 4


def test_another_models_run_leaves_it_to_the_night_what_the_ehr_has_changed(site: Site) -> None:
    site.night()
    before = read_up_to(site)
    site.clock.advance(DAY)
    site.admit("p5", "1.2.5")

    site.rescore(ANOTHER)

    assert read_up_to(site) == before
    assert Store(site.engine).is_known("1.2.5") is False
    assert site.night().found == 1
    assert site.unfinished() == []


def test_a_run_of_another_model_that_was_killed_stops_no_night_and_is_taken_up_when_its_lease_has_ended(
    site: Site,
) -> None:
    site.night()
    store, runs = Store(site.engine), RunRecords(site.engine)
    assert runs.take_lease(lease_of(ANOTHER.key), "a killed process", site.clock(), LENGTH)
    runs.start(ANOTHER.key, site.clock())
    store.queue_known(ANOTHER.key, EVERYTHING, site.clock())
    assert store.claim(ANOTHER.key, site.clock(), LEASE) is not None

    site.admit("p5", "1.2.5")
    assert site.night().problems == ()
    with pytest.raises(RunUnderWay):
        site.rescore(ANOTHER)
    site.clock.advance(LENGTH)

    assert site.rescore(ANOTHER).scored == 5
    assert site.unfinished() == []
    assert errands(site) == (0, 5, 1)


def test_a_night_that_is_killed_while_another_model_is_at_the_archive_is_made_up_for_by_the_next(site: Site) -> None:
    def killed() -> None:
        """With an exam in hand."""
        assert RunRecords(site.engine).take_lease(lease_of(MODEL.key), "a killed process", site.clock(), LENGTH)
        RunRecords(site.engine).start(MODEL.key, site.clock())
        assert Store(site.engine).claim(MODEL.key, site.clock(), LEASE) is not None

    with site.pacs.down():
        site.night()
    site.clock.advance(LONG_ENOUGH)
    site.rescore(ANOTHER, meanwhile=killed)
    with pytest.raises(RunUnderWay):
        site.night()
    site.clock.advance(LENGTH)

    site.night()

    assert site.unfinished() == []
    assert errands(site) == (0, 4, 1)
