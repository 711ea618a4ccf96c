"""The nightly run by the clock."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from cds.assessment import Assessor
from cds.errors import EhrUnreachable, SettingsError
from cds.night import MAMMOGRAMS, Night, NightEhr
from cds.scheduler import schedule_night
from cds.settings import NightSettings
from tests.cds.builders import MODEL, Clock, memory_store
from tests.fakes import FakeEhr


def night(client: FakeEhr | None = None) -> Night:
    ehrs = (NightEhr("ehr-1", client.opening()),) if client else ()
    return Night(ehrs, Assessor(memory_store(), MODEL, lambda _: False, Clock()))


def next_run(settings: NightSettings, after: datetime) -> datetime:
    """When the night would run next."""
    scheduler = schedule_night(night(), settings)
    assert scheduler is not None
    (job,) = scheduler.get_jobs()
    moment: datetime = job.trigger.get_next_fire_time(None, after)
    return moment


def test_the_night_runs_at_the_sites_own_hour() -> None:
    settings = NightSettings(cron="30 2 * * *", time_zone="America/New_York")

    moment = next_run(settings, datetime(2026, 5, 20, 12, tzinfo=UTC))

    assert moment == datetime(2026, 5, 21, 2, 30, tzinfo=ZoneInfo("America/New_York"))


def test_a_weekday_is_the_day_that_it_names() -> None:
    moment = next_run(NightSettings(cron="0 2 * * sun"), datetime(2026, 5, 20, tzinfo=UTC))

    assert moment.strftime("%A") == "Sunday"


@pytest.mark.parametrize("cron", ["0 2 * * 0", "0 2 * * 1-5", "0 2 * * */2"])
def test_a_weekday_by_number_is_refused_because_schedulers_count_differently(cron: str) -> None:
    with pytest.raises(SettingsError, match="weekday"):
        schedule_night(night(), NightSettings(cron=cron))


@pytest.mark.parametrize("cron", ["tonight", "0 2 * *", "0 2 * * * *", "99 2 * * *", "0 2 * * someday"])
def test_what_is_not_five_cron_fields_is_refused(cron: str) -> None:
    with pytest.raises(SettingsError, match=r"night\.cron"):
        schedule_night(night(), NightSettings(cron=cron))


@pytest.mark.parametrize("cron", ["", "  "])
def test_a_site_may_switch_the_night_off(cron: str) -> None:
    assert schedule_night(night(), NightSettings(cron=cron)) is None


def test_a_run_is_logged_in_numbers_and_happens_once_at_a_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    asked = threading.Event()

    class Watched(FakeEhr):
        def search(self, query: str) -> dict[str, object]:
            asked.set()
            return super().search(query)

    scheduler = schedule_night(night(Watched({MAMMOGRAMS: EhrUnreachable("no connection")})), NightSettings())
    assert scheduler is not None
    scheduler.start()
    try:
        (job,) = scheduler.get_jobs()
        assert job.max_instances == 1
        job.modify(next_run_time=datetime.now(UTC))
        assert asked.wait(10)
    finally:
        scheduler.shutdown()

    lines = [record.getMessage() for record in caplog.records if record.name == "cds.scheduler"]
    assert lines == ["night: 0 patients, 0 exams scored, 0 refused, 0 queued, 1 problems"]
