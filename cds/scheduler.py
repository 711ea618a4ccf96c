"""The nightly run by the clock, beside a worker that is scoring already."""

from __future__ import annotations

import logging
from functools import partial

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from cds.errors import SettingsError
from cds.night import Night
from cds.settings import NightSettings

log = logging.getLogger(__name__)

LATE_S = 3600
"""A run that could not start on time (a sleeping machine, a restart) still starts within the hour."""


def schedule_night(night: Night, settings: NightSettings) -> BackgroundScheduler | None:
    """A scheduler with the nightly run in it, not yet started; None where the site has switched it off."""
    if not settings.cron.strip():
        return None
    scheduler = BackgroundScheduler(timezone=settings.time_zone)
    job = partial(_run, night)
    scheduler.add_job(job, _trigger(settings), id="night", max_instances=1, coalesce=True, misfire_grace_time=LATE_S)
    return scheduler


def _trigger(settings: NightSettings) -> CronTrigger:
    # APScheduler counts weekdays from Monday, cron from Sunday: `* * * * 0` would run a day late without a word.
    if any(character.isdigit() for character in settings.cron.split()[-1]):
        raise SettingsError(f"night.cron: write the weekday of {settings.cron!r} by name, such as sun or mon-fri")
    try:
        return CronTrigger.from_crontab(settings.cron, timezone=settings.time_zone)
    except ValueError as e:
        raise SettingsError(f"night.cron: {settings.cron!r} is not five cron fields: {e}") from e


def _run(night: Night) -> None:
    summary = night.find_exams()
    log.info(
        "night: %d patients, %d exams scored, %d refused, %d queued, %d problems",
        summary.patients, summary.scored, summary.refused, summary.pending, len(summary.problems),
    )  # fmt: skip
