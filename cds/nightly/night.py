"""The nightly run: find the site's new exams, have them scored, and say what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Event
from typing import Protocol

from cds.errors import MammoTrendError
from cds.nightly.lease import LENGTH, held
from cds.store.runs import RunRecords, RunSummary
from cds.store.store import EVERYTHING, Selection, Store
from model.domain import ExclusionReason

log = logging.getLogger(__name__)


def lease_of(model: str) -> str:
    """The lease of a model's runs: another model's may take weeks, and the site's own nights go on beside it."""
    return f"night {model}"


def run_under_way(runs: RunRecords, model: str, now: datetime) -> int | None:
    """The number of the run with a model that a process is at; one of another number that has not ended was killed."""
    newest = next(iter(runs.last(1, model)), None)
    is_going = newest is not None and newest.finished_at is None and runs.is_signed(lease_of(model), now, LENGTH)
    return newest.id if newest and is_going else None


class RunUnderWay(MammoTrendError):
    """Another process is at a run with the same model."""


@dataclass
class Found:
    """What a look at the site's systems found: how many patients and new exams, and what it could not look at.

    `problems` are sentences without identifiers. Once `stop` is set the look is to end where it is.
    """

    patients: int = 0
    exams: int = 0
    problems: list[str] = field(default_factory=list)
    stop: Event = field(default_factory=Event, compare=False)


class Look(Protocol):
    """One way of finding new exams: the EHRs' lists, or the archives'."""

    def __call__(self, found: Found) -> None:
        """Register what is new, and add to `found` what that was and what could not be looked at."""
        ...


Clear = Callable[[Event], dict[str, int]]
"""Deletes what was kept long enough, until told to stop; how many rows of each kind."""


@dataclass(frozen=True)
class Night:
    """One run over the site at a time with each model, across all processes; what a killed one had done stays done.

    The site's own looks and clears away. That of another model has no `looks` and no `clear`: it queues what is known.
    """

    looks: Sequence[Look]
    store: Store
    runs: RunRecords
    model: str
    now: Callable[[], datetime]
    holder: str
    clear: Clear | None = None
    permitted: Collection[ExclusionReason] = ()
    """Reasons that the site's settings let an exam be refused for once, and do not any more."""

    def run(
        self, settle: Callable[[datetime], object], selection: Selection = EVERYTHING, stop: Event | None = None
    ) -> RunSummary:
        """Find, `settle`, sum up; raises RunUnderWay where another process is at it. Once `stop` is set it ends soon.

        `settle` is given the moment at which the run began, and returns once every exam of the selection that was
        queued has been tried since, and what came of it is on its way; whether it waits for the backlog, too, is for
        it to decide.
        """
        with held(self.runs, lease_of(self.model), self.holder, self.now) as alone:
            if not alone:
                raise RunUnderWay(
                    "another process is at a run with this model; wait for its end, or if it was killed, try again in "
                    f"{LENGTH.total_seconds() / 60:.0f} minutes"
                )
            started = self.now()
            run_id = self.runs.start(self.model, started)
            found = self._find(stop or Event())
            for reason in self.permitted:
                self.store.queue_refused(self.model, reason, selection, self.now())
            self.store.queue_known(self.model, selection, self.now())
            self.store.make_due(self.model, started, selection)
            settle(started)
            cleared = self.clear(found.stop) if self.clear and selection == EVERYTHING else {}
            summary = self.runs.sum_up(self.model, started, found.exams, tuple(dict.fromkeys(found.problems)))
            summary = replace(summary, cleared=cleared)
            self.runs.finish(run_id, summary, self.now())
            return summary

    def _find(self, stop: Event) -> Found:
        found = Found(stop=stop)
        for look in self.looks:
            look(found)
        for said in dict.fromkeys(found.problems):
            log.warning("the night could not look at everything: %s", said)
        return found
