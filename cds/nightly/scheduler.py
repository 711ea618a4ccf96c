"""What happens by the clock, beside a worker that is scoring already: the nightly run, and looking into archives."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy.exc import SQLAlchemyError

from cds.delivery.clerk import Clerk
from cds.nightly.lease import LENGTH
from cds.nightly.night import Found, Look, Night, RunUnderWay
from cds.nightly.rescore import summary_lines
from cds.settings import NightSettings

log = logging.getLogger(__name__)

LATE_S = 3600
"""A run that could not start on time (a sleeping machine, a restart) still starts within the hour."""
LOOK_EVERY_S = 0.5


class Schedule:
    """The site's timetable; started and shut down with the worker."""

    def __init__(
        self, night: Night, clerk: Clerk, settings: NightSettings, poll: Look | None, poll_every: timedelta
    ) -> None:
        self._night, self._clerk = night, clerk
        self._stop = Event()
        self._scheduler = BackgroundScheduler(timezone=settings.time_zone)
        if settings.cron.strip():
            trigger = CronTrigger.from_crontab(settings.cron, timezone=settings.time_zone)
            self._add(self._run_night, trigger, "night")
        if poll is not None:
            self._poll = poll
            self._add(self._run_poll, IntervalTrigger(seconds=poll_every.total_seconds()), "poll")

    @property
    def jobs(self) -> list[str]:
        """What is on it."""
        return sorted(job.id for job in self._scheduler.get_jobs())

    def trigger(self, name: str) -> Any:
        """When a job is due, as APScheduler has it."""
        return self._scheduler.get_job(name).trigger

    def run_soon(self, name: str) -> None:
        """Have a job run now, beside its own times."""
        self._scheduler.modify_job(name, next_run_time=datetime.now(UTC))

    def start(self) -> None:
        """Begin to look at the clock; a run that was due while no worker was there begins now."""
        self._scheduler.start()
        if "night" in self.jobs:
            self._run_missed()

    def shutdown(self) -> None:
        """End, also a run under way: what it has queued stays queued."""
        self._stop.set()
        self._scheduler.shutdown()

    def _add(self, job: Callable[[], None], trigger: object, name: str) -> None:
        self._scheduler.add_job(job, trigger, id=name, max_instances=1, coalesce=True, misfire_grace_time=LATE_S)

    def _run_missed(self) -> None:
        """Begin a run that was missed; where a killed worker's still has its lease, soon after that has ended."""
        if self._is_missed():
            self.run_soon("night")
            later = datetime.now(UTC) + LENGTH + timedelta(seconds=1)
            self._scheduler.add_job(self._run_missed, "date", run_date=later, id="missed night", replace_existing=True)

    def _is_missed(self) -> bool:
        """Whether a run was due within the last hour and none has ended since."""
        now = self._night.now()
        due = self.trigger("night").get_next_fire_time(None, now - timedelta(seconds=LATE_S))
        ended = [run.finished_at for run in self._night.runs.last(1, self._night.model)]
        # None is a day that never comes, such as 30 February.
        return due is not None and due <= now and not any(moment and moment >= due for moment in ended)

    def _run_night(self) -> None:
        try:
            summary = self._night.run(self._settle, stop=self._stop)
        except RunUnderWay as problem:
            log.info("the nightly run is left out: %s", problem)
        except SQLAlchemyError as fault:
            log.error("the nightly run ended: the store failed: %s", type(fault).__name__)
        except Exception as fault:  # noqa: BLE001 # APScheduler would log its words, and they may name a patient
            log.error("the nightly run ended: an unforeseen fault (%s)", type(fault).__name__)
        else:
            for line in summary_lines(summary, sum(self._night.store.queued(self._night.model).values())):
                log.info("the night: %s", line)

    def _settle(self, started: datetime) -> None:
        """Wait while the worker and the clerk of this process, or of others, do what the run has queued."""
        night = self._night
        while night.store.untried(night.model, started) or self._clerk.has_work():
            if self._stop.wait(LOOK_EVERY_S):
                return

    def _run_poll(self) -> None:
        found = Found(stop=self._stop)
        try:
            self._poll(found)
        except SQLAlchemyError as fault:
            log.error("the archives could not be looked into: the store failed: %s", type(fault).__name__)
        except Exception as fault:  # noqa: BLE001 # as in the nightly run
            log.error("the archives could not be looked into: an unforeseen fault (%s)", type(fault).__name__)
        for said in dict.fromkeys(found.problems):
            log.warning("not everything could be taken from the archives: %s", said)
