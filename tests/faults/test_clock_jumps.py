"""A clock that jumps and is put right again neither loses an exam nor keeps one waiting."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cds.delivery.outbox import LEASE as DELIVERY_LEASE
from cds.nightly.lease import LENGTH
from cds.nightly.night import RunUnderWay, lease_of
from cds.scoring.books import LEASE
from cds.store.arrivals import ArrivalRecords
from cds.store.audit import Action
from cds.store.outbox import OutboxRecords
from cds.store.runs import RunRecords
from cds.store.store import Store
from tests.cds.builders import EHR, MODEL
from tests.faults.books import audited
from tests.faults.front import answering
from tests.faults.site import LONG_ENOUGH, Site

pytestmark = pytest.mark.slow

HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
ALL = ["1.2.0", "1.2.1", "1.2.2", "1.2.3"]
JUMPS = {
    "an-hour-ahead": HOUR,
    "a-day-ahead": DAY,
    "a-year-ahead": YEAR,
    "an-hour-back": -HOUR,
    "a-day-back": -DAY,
    "a-year-back": -YEAR,
}
jumps = pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)


@jumps
def test_what_failed_while_the_clock_was_wrong_is_tried_again_soon_after_it_is_right(
    site: Site, jump: timedelta
) -> None:
    site.night()
    site.clock.advance(jump)
    site.admit("p5", "1.2.5")
    with site.pacs.failing(answering(503)), site.ehr.failing(answering(503), "RiskAssessment"):
        site.night()
        site.later(HOUR)
    site.clock.advance(-jump)
    site.work()
    assert site.unbalanced() == []

    site.later()
    site.later()

    assert site.unfinished() == []
    assert audited(site.engine, Action.SCORED) == dict.fromkeys([*ALL, "1.2.5"], 1)


@jumps
def test_what_was_in_hand_when_the_clock_was_wrong_and_its_process_died_is_taken_up_by_another(
    site: Site, jump: timedelta
) -> None:
    site.clock.advance(jump)
    with site.pacs.down():
        site.night()
    site.clock.advance(LONG_ENOUGH)
    killed_with_an_exam = Store(site.engine).claim(MODEL.key, site.clock(), LEASE)
    assert killed_with_an_exam is not None
    site.clock.advance(-jump)
    site.work()

    site.later()

    assert site.unfinished() == []


@jumps
def test_a_letter_in_hand_when_the_clock_was_wrong_and_its_process_died_is_still_delivered(
    site: Site, jump: timedelta
) -> None:
    with site.ehr.failing(answering(503), "RiskAssessment"):
        site.night()
    site.clock.advance(jump + LONG_ENOUGH)
    assert OutboxRecords(site.engine).claim(site.clock(), DELIVERY_LEASE) is not None
    site.clock.advance(-jump)
    site.work()

    site.later()
    site.later()

    assert site.unfinished() == []


@jumps
def test_a_night_that_was_killed_while_the_clock_was_wrong_does_not_keep_the_next_one_from_running(
    site: Site, jump: timedelta
) -> None:
    site.clock.advance(jump)
    assert RunRecords(site.engine).take_lease(lease_of(MODEL.key), "a killed process", site.clock(), LENGTH)
    with pytest.raises(RunUnderWay):
        site.night()
    site.clock.advance(LENGTH - jump if jump > timedelta() else LENGTH)

    site.night()
    # What is refused is so for good, and not by a clock for which its day is still to come.
    site.clock.advance(max(-jump, timedelta()))
    site.later()

    assert site.unfinished() == []


@jumps
@pytest.mark.parametrize("servers_clock_too", [False, True])
def test_exams_filed_after_the_clock_is_right_again_are_found_by_the_next_night(
    site: Site, jump: timedelta, servers_clock_too: bool
) -> None:
    if servers_clock_too:  # as where both ask the same time server
        site.clock.advance(jump)
        site.admit("p5", "1.2.5")
    else:
        site.admit("p5", "1.2.5")
        site.clock.advance(jump)
    site.night()
    site.clock.advance(-jump)
    assert site.unbalanced() == []

    site.clock.advance(timedelta(minutes=20))
    site.admit("p6", "1.2.6")
    assert site.night().problems == ()
    site.later()

    assert site.unfinished() == []


def test_a_server_whose_clock_is_ahead_for_a_while_hides_nothing_that_is_filed_later(site: Site) -> None:
    site.clock.advance(YEAR)
    site.admit("p5", "1.2.5")
    site.clock.advance(-YEAR)
    site.night()
    watermark = RunRecords(site.engine).watermark(f"ehr {EHR}")
    assert watermark is not None
    assert watermark <= site.clock()

    site.clock.advance(DAY)
    site.admit("p6", "1.2.6")
    site.night()

    assert site.unfinished() == []


@jumps
def test_a_study_seen_to_arrive_while_the_clock_was_wrong_still_comes_to_rest(site: Site, jump: timedelta) -> None:
    arrivals, stable = ArrivalRecords(site.engine), timedelta(minutes=30)
    site.clock.advance(jump)
    assert arrivals.see("1.2.9", 4, site.clock()) == timedelta()
    site.clock.advance(-jump)

    arrivals.see("1.2.9", 4, site.clock())
    still = arrivals.see("1.2.9", 4, site.clock() + stable)
    assert still is not None
    assert still >= stable
