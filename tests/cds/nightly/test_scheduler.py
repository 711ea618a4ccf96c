"""The nightly run by the clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from cds.delivery.clerk import Clerk
from cds.delivery.outbox import Outbox
from cds.delivery.reporting import Reporter
from cds.nightly.night import Found, Look, Night, lease_of
from cds.nightly.scheduler import Schedule
from cds.settings import NightSettings
from cds.store.assessments import AssessmentRecords
from cds.store.outbox import OutboxRecords
from cds.store.runs import RunRecords
from cds.store.store import Store
from tests.cds.builders import MODEL, NOW, Clock, claimed, join, new_exam, scored


def schedule(
    engine: Engine, settings: NightSettings, *looks: Look, poll: Look | None = None, now: datetime = NOW
) -> Schedule:
    """A timetable over a night that looks so."""
    night = Night(looks, Store(engine), RunRecords(engine), MODEL.key, Clock(now), "this process")
    reporter = Reporter(AssessmentRecords(engine), MODEL, join, {}, Clock())
    clerk = Clerk(reporter, Outbox(OutboxRecords(engine), {}, Clock()))
    return Schedule(night, clerk, settings, poll, timedelta(minutes=15))


def next_run(engine: Engine, settings: NightSettings, after: datetime) -> datetime:
    """When the night would run next."""
    moment: datetime = schedule(engine, settings).trigger("night").get_next_fire_time(None, after)
    return moment


def test_the_night_runs_at_the_sites_own_hour(engine: Engine) -> None:
    settings = NightSettings(cron="30 2 * * *", time_zone="America/New_York")

    moment = next_run(engine, settings, datetime(2026, 5, 20, 12, tzinfo=UTC))

    assert moment == datetime(2026, 5, 21, 2, 30, tzinfo=ZoneInfo("America/New_York"))


def test_a_weekday_is_the_day_that_it_names(engine: Engine) -> None:
    moment = next_run(engine, NightSettings(cron="0 2 * * sun"), datetime(2026, 5, 20, tzinfo=UTC))

    assert moment.strftime("%A") == "Sunday"


@pytest.mark.parametrize("cron", ["", "  "])
def test_a_site_may_switch_the_night_off(engine: Engine, cron: str) -> None:
    assert schedule(engine, NightSettings(cron=cron)).jobs == []


def test_archives_are_looked_into_by_their_own_interval_where_a_site_wants_it(engine: Engine) -> None:
    def poll(found: Found) -> None:
        raise AssertionError("not yet")

    planned = schedule(engine, NightSettings(cron=""), poll=poll)

    assert planned.jobs == ["poll"]
    assert planned.trigger("poll").interval == timedelta(minutes=15)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "cds.nightly.scheduler"]


def run_now(planned: Schedule, name: str, ended: Callable[[], bool]) -> None:
    """Have a job run at once, and wait for its end."""
    planned.start()
    try:
        planned.run_soon(name)
        for _ in range(1000):
            if ended():
                return
            Event().wait(0.01)
        raise AssertionError("it did not end")
    finally:
        planned.shutdown()


def test_a_run_is_logged_in_numbers_and_happens_once_at_a_time(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def look(found: Found) -> None:
        found.problems.append("ehr-1: no connection")

    planned = schedule(engine, NightSettings(), look)
    run_now(planned, "night", lambda: len(lines(caplog)) == 2)

    assert lines(caplog) == [
        "the night: Found 0 new exams. Scored 0, refused 0, failed 0; wrote 0 assessments. 0 still queued.",
        "the night: Could not look: ehr-1: no connection",
    ]


@pytest.mark.parametrize(
    ("cron", "has_run", "begins"),
    [
        ("0 14 * * *", False, True),
        ("0 14 * * *", True, False),
        ("30 12 * * *", False, False),
        ("0 2 30 2 *", False, False),
    ],
    ids=["missed", "not missed", "too long ago", "never due"],
)
def test_a_run_that_was_due_while_no_worker_was_there_begins_with_the_worker(
    engine: Engine, cron: str, has_run: bool, begins: bool
) -> None:
    begun, runs = Event(), RunRecords(engine)
    now = datetime(2026, 5, 20, 14, 20, tzinfo=UTC)
    if has_run:
        runs.finish(runs.start(MODEL.key, now), runs.sum_up(MODEL.key, now, 0, ()), now)
    planned = schedule(engine, NightSettings(cron=cron), lambda _found: begun.set(), now=now)

    planned.start()
    try:
        assert begun.wait(5.0 if begins else 0.2) == begins
    finally:
        planned.shutdown()


def test_a_run_ends_once_the_worker_beside_it_has_scored_what_was_found(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store, begun = Store(engine), Event()

    def look(found: Found) -> None:
        found.exams += store.register([new_exam()], MODEL.key, NOW)
        begun.set()

    def ended() -> bool:
        if begun.is_set() and store.queued(MODEL.key):
            store.save_score(claimed(store), scored())
            reporter = Reporter(AssessmentRecords(engine), MODEL, join, {}, Clock())
            reporter.report_next()
        return bool(lines(caplog))

    run_now(schedule(engine, NightSettings(), look), "night", ended)

    assert lines(caplog)[0].startswith("the night: Found 1 new exams. Scored 1,")


def test_a_run_does_not_wait_for_the_backlog_of_a_new_model(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Store(engine).register([new_exam()], "the old model", NOW)

    run_now(schedule(engine, NightSettings()), "night", lambda: bool(lines(caplog)))

    assert lines(caplog)[0].endswith("Scored 0, refused 0, failed 0; wrote 0 assessments. 1 still queued.")


def test_a_run_that_another_process_is_at_is_left_out(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    RunRecords(engine).take_lease(lease_of(MODEL.key), "another", NOW, timedelta(minutes=5))

    run_now(schedule(engine, NightSettings()), "night", lambda: bool(lines(caplog)))

    assert lines(caplog) == [
        "the nightly run is left out: another process is at a run with this model; wait for its end, or if it was "
        "killed, try again in 5 minutes"
    ]


def test_what_a_look_into_the_archives_could_not_take_is_logged(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def poll(found: Found) -> None:
        found.problems.append("a study of an archive: no answer")

    run_now(schedule(engine, NightSettings(cron=""), poll=poll), "poll", lambda: bool(lines(caplog)))

    assert lines(caplog) == ["not everything could be taken from the archives: a study of an archive: no answer"]


@pytest.mark.parametrize("name", ["night", "poll"])
def test_an_unforeseen_fault_is_logged_without_its_words(
    engine: Engine, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    def look(found: Found) -> None:
        raise KeyError("MRN-1")

    run_now(schedule(engine, NightSettings(), look, poll=look), name, lambda: bool(lines(caplog)))

    assert lines(caplog)[0].endswith("an unforeseen fault (KeyError)")
    assert "MRN-1" not in caplog.text


def test_a_worker_that_ends_does_not_wait_for_the_end_of_a_run(engine: Engine) -> None:
    store, begun = Store(engine), Event()

    def look(found: Found) -> None:
        store.register([new_exam()], MODEL.key, NOW)
        begun.set()

    run_now(schedule(engine, NightSettings(), look), "night", begun.is_set)

    assert store.queued(MODEL.key) == {None: 1}
    assert [run.finished_at is not None for run in RunRecords(engine).last()] == [True]
