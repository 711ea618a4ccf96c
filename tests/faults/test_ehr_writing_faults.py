"""An EHR that fails while it is written to: in the end its chart holds each assessment once, as it was last."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cds.store.outbox import OutboxRecords
from cds.store.store import Store
from cds.store.tables import OutboxState
from tests.faults.front import Fault, after, answering, dripping, losing_the_answer, silent_for, truncating
from tests.faults.site import EHR_TIMEOUT_S, Site, other_images

pytestmark = pytest.mark.slow

LOOK, CREATE, REPLACE = "GET /RiskAssessment", "POST /RiskAssessment", "PUT /RiskAssessment"

FAULTS: dict[str, Fault] = {
    "401": answering(401),
    "403": answering(403),
    "404": answering(404),
    "429": answering(429, Retry_After="3600"),
    "500": answering(500),
    "503": answering(503),
    "silent": silent_for(EHR_TIMEOUT_S + 0.5),
    "truncated": truncating(),
    "answer-lost": losing_the_answer(),
    "drips": dripping(0.1, longest_s=EHR_TIMEOUT_S + 1),
}
faults = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


def states(site: Site) -> set[OutboxState]:
    """Those of everything that was ever to be written."""
    return {letter.state for letter in OutboxRecords(site.engine).letters(list(OutboxState))}


@faults
@pytest.mark.parametrize("asked", [LOOK, CREATE])
def test_what_could_not_be_written_is_written_once_when_the_ehr_is_well_again(
    site: Site, fault: Fault, asked: str
) -> None:
    with site.ehr.failing(fault, asked):
        summary = site.night()
        assert (summary.scored, summary.written, states(site)) == (4, 0, {OutboxState.QUEUED})
        assert site.unbalanced() == []
        site.later(timedelta(hours=2))
        assert site.unbalanced() == []

    site.later()

    assert site.unfinished() == []
    assert states(site) == {OutboxState.DELIVERED}
    assert len(site.charts.all("RiskAssessment")) == 3


@faults
def test_a_newer_assessment_takes_the_place_of_the_one_in_the_chart_whatever_fails_on_the_way(
    site: Site, fault: Fault
) -> None:
    site.night()
    site.scorer = other_images()
    Store(site.engine).reopen_study("1.2.2", site.clock())
    with site.ehr.failing(fault, REPLACE):
        site.later()
        assert site.unbalanced() == []

    site.later()

    assert site.unfinished() == []
    (hers,) = [one for one in site.charts.all("RiskAssessment") if one["subject"]["reference"] == "Patient/p1"]
    assert (hers["status"], hers["prediction"][-1]["probabilityDecimal"]) == ("amended", 3.3)


def test_an_ehr_that_fails_between_two_writes_gets_the_second_one_later(site: Site) -> None:
    with site.ehr.failing(after(1, answering(500)), CREATE):
        site.night()
    assert len(site.charts.all("RiskAssessment")) == 1
    assert site.unbalanced() == []

    site.later()

    assert site.unfinished() == []


@pytest.mark.parametrize("hours", [1, 5, 12, 24])
def test_an_ehr_that_asks_for_time_is_not_asked_again_before_or_after_six_hours_at_the_latest(
    site: Site, hours: int
) -> None:
    with site.ehr.failing(answering(429, Retry_After=str(3600 * hours)), "RiskAssessment"):
        site.night()
        asked = site.ehr.count("RiskAssessment")
        site.later(timedelta(hours=min(hours, 6), minutes=-1))
        assert site.ehr.count("RiskAssessment") == asked == 1  # one look, and the two other assessments wait with it

    site.later(timedelta(minutes=1))

    assert site.unfinished() == []


def test_while_the_ehr_is_down_everything_is_scored_and_waits(site: Site) -> None:
    site.night()
    site.admit("p5", "1.2.5")
    site.night()
    site.admit("p6", "1.2.6")
    with site.ehr.down():
        summary = site.night()
        assert "no connection" in summary.problems[0]
        site.later()
        assert site.unbalanced() == []

    site.clock.advance(timedelta(days=1))
    site.night()

    assert site.unfinished() == []
    assert len(site.charts.all("RiskAssessment")) == 5


def test_an_ehr_that_stays_down_for_a_week_leaves_its_letters_where_somebody_finds_them(site: Site) -> None:
    with site.ehr.failing(answering(503), "RiskAssessment"):
        site.night()
        for _ in range(7 * 24 * 3):
            site.clock.advance(timedelta(minutes=20))
            site.write()
        assert states(site) == {OutboxState.DEAD}
        assert site.unbalanced() == []

    assert OutboxRecords(site.engine).retry(site.clock()) == 3
    site.write()

    assert site.unfinished() == []
