"""Whether the service can do its work: its store answers, and a worker with the site's model is there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from cds.errors import told
from cds.operations.kept import Kept
from cds.operations.sign_of_life import LASTS, SCHEDULE, checked_model
from cds.store.runs import RunRecords

log = logging.getLogger(__name__)

OUTSIDE_KEPT_S = 60.0
"""Whoever looks at the service every few seconds does not have its EHRs and archives asked as often."""

Ask = Callable[[], str]
"""Asks a system outside for something that costs it nothing; what it said, or MammoTrendError."""


@dataclass(frozen=True)
class Readiness:
    """What the work needs; each False where it is missing or could not be looked at."""

    store: bool = False
    model: bool = False
    schedule: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether nothing is missing."""
        return self.store and self.model and self.schedule


class Lookout:
    """Looks whether the service is ready. The systems outside are asked too, and change nothing about that.

    This process loads no weights: that the model passes its self-check is known from a worker, which does not start
    before that.
    """

    def __init__(
        self,
        runs: RunRecords,
        model: str,
        now: Callable[[], datetime],
        outside: Mapping[str, Ask] | None = None,
    ) -> None:
        self._runs, self._model, self._now = runs, model, now
        self._outside = dict(outside or {})
        self._kept = Kept(self._ask_outside, OUTSIDE_KEPT_S)

    def look(self) -> Readiness:
        """How it stands now."""
        now = self._now()
        try:
            signed = [self._runs.is_signed(name, now, LASTS) for name in (checked_model(self._model), SCHEDULE)]
        except SQLAlchemyError as fault:
            log.error("the service is not ready: the store failed: %s", type(fault).__name__)
            return Readiness()
        return Readiness(True, *signed)

    def outside(self) -> Mapping[str, str]:
        """What each EHR and archive said within the last minute, or why it could not be asked."""
        return self._kept.get()

    def _ask_outside(self) -> Mapping[str, str]:
        if not self._outside:
            return {}
        with ThreadPoolExecutor(max_workers=len(self._outside)) as together:
            return dict(zip(self._outside, together.map(_said, self._outside.values()), strict=True))


def _said(ask: Ask) -> str:
    try:
        return ask()
    except Exception as fault:  # noqa: BLE001 # one system's unforeseen fault must not hide the others
        return told(fault)
