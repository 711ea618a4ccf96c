"""The signs that a worker gives of itself, by which the process that answers hooks knows that somebody scores."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event

from sqlalchemy.exc import SQLAlchemyError

from cds.store.runs import RunRecords

log = logging.getLogger(__name__)

SCHEDULE = "schedule"
"""Somebody looks at the clock: the nightly run would begin."""
LASTS = timedelta(minutes=5)
"""A worker may be replaced, and load its model, within this time."""
EVERY_S = 60.0


def checked_model(model: str) -> str:
    """The sign that somebody scores with a model that has passed its self-check on that machine."""
    return f"model {model}"


class SignOfLife:
    """Says every minute that this worker, whose model was checked before it started, is there."""

    def __init__(
        self, runs: RunRecords, model: str, holder: str, now: Callable[[], datetime], every_s: float = EVERY_S
    ) -> None:
        self._runs, self._holder, self._now = runs, holder, now
        self._names = (checked_model(model), SCHEDULE)
        self._every_s = every_s

    def run(self, stop: Event) -> None:
        """Say so until told to stop. The last sign is left to run out: who is replaced is not missed."""
        while True:
            self._sign()
            if stop.wait(self._every_s):
                return

    def _sign(self) -> None:
        try:
            for name in self._names:
                self._runs.sign(name, self._holder, self._now(), LASTS)
        except SQLAlchemyError as fault:
            log.error("the worker could not say that it is there: %s", type(fault).__name__)
