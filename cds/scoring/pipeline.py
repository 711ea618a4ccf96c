"""Fetching, decoding and scoring of different exams at the same time, within a bound of memory."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event

from sqlalchemy.exc import SQLAlchemyError

from cds.scoring.budget import ByteBudget
from cds.scoring.stages import FETCHERS
from cds.scoring.worker import LEASE, Ready, Worker
from cds.store.store import EVERYTHING, ScoringJob, Selection

log = logging.getLogger(__name__)

IDLE_S = 0.2
STUDY_BYTES = 256 << 20
"""What an exam may take until it is prepared: four pictures as they came, and as they were decoded."""


@dataclass
class _Shift:
    """One go of the pipeline: what it takes, what it has in hand, and how it ends."""

    stop: Event
    due_by: datetime | None = None
    selection: Selection = EVERYTHING
    until_empty: bool = False
    on_done: Callable[[], None] = lambda: None
    ready: queue.SimpleQueue[Ready | None] = field(default_factory=queue.SimpleQueue)
    in_hand: dict[int, ScoringJob] = field(default_factory=dict)
    fault: SQLAlchemyError | None = None
    broken: bool = False

    def is_over(self) -> bool:
        """Whether nothing more is to be taken."""
        return self.stop.is_set() or self.broken or self.fault is not None


class ScoringPipeline:
    """Some threads fetch and prepare, the caller's thread scores; what is in flight stays within the budget."""

    def __init__(
        self,
        worker: Worker,
        budget: ByteBudget,
        *,
        fetchers: int = FETCHERS,
        store_down_s: float = 5.0,
        keep_every_s: float = LEASE.total_seconds() / 3,
    ) -> None:
        self._worker, self._budget = worker, budget
        self._fetchers, self._store_down_s, self._keep_every_s = fetchers, store_down_s, keep_every_s

    def run(self, stop: Event) -> None:
        """Score until told to stop; the exams in hand are finished first. A database that is down is waited for."""
        log.info("scoring with %s", self._worker.model)
        self._work(_Shift(stop))

    def drain(
        self,
        stop: Event,
        due_by: datetime,
        selection: Selection = EVERYTHING,
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        """Try every exam of the selection once that was due by a moment; raises SQLAlchemyError where the store fails.

        `on_done` is called after each, from any thread.
        """
        shift = _Shift(stop, due_by, selection, until_empty=True, on_done=on_done)
        self._work(shift)
        if shift.fault:
            raise shift.fault

    def _work(self, shift: _Shift) -> None:
        fetchers = [threading.Thread(target=self._fetch, args=(shift,)) for _ in range(self._fetchers)]
        over = Event()
        keeper = threading.Thread(target=self._keep, args=(shift, over))
        for thread in (*fetchers, keeper):
            thread.start()
        try:
            self._score(shift, len(fetchers))
        finally:
            shift.broken = True  # for the fetchers, where scoring itself broke; else they have ended already
            over.set()
            for thread in (*fetchers, keeper):
                thread.join()
            self._note_times()

    def _fetch(self, shift: _Shift) -> None:
        """One fetching thread; None in the queue says that it has ended."""
        try:
            while not shift.is_over():
                if not self._fetch_next(shift):
                    if shift.until_empty:
                        return
                    shift.stop.wait(IDLE_S)
        finally:
            shift.ready.put(None)

    def _fetch_next(self, shift: _Shift) -> bool:
        """Claim and prepare one exam; False where there was none."""
        if not self._budget.reserve(STUDY_BYTES, shift.is_over):
            return False
        job, ready = None, None
        try:
            job = self._worker.claim(shift.due_by, shift.selection)
            if job is not None:
                shift.in_hand[job.scoring_id] = job
                ready = self._worker.prepare(job)
        except SQLAlchemyError as fault:
            self._store_failed(shift, fault)
        self._budget.change(STUDY_BYTES, ready.exam.bytes_held if ready else 0)
        if ready:
            shift.ready.put(ready)
        elif job:
            self._done(shift, job)
        return job is not None

    def _score(self, shift: _Shift, fetchers: int) -> None:
        while fetchers:
            first = shift.ready.get()
            if first is None:
                fetchers -= 1
                continue
            batch = [first]
            while len(batch) < self._worker.batch_exams and not shift.ready.empty():
                another = shift.ready.get()
                if another is None:
                    fetchers -= 1
                else:
                    batch.append(another)
            self._finish(shift, batch)

    def _finish(self, shift: _Shift, batch: list[Ready]) -> None:
        try:
            self._worker.finish(batch)
        except SQLAlchemyError as fault:
            self._store_failed(shift, fault)
        for one in batch:
            self._budget.change(one.exam.bytes_held, 0)
            self._done(shift, one.job)

    def _done(self, shift: _Shift, job: ScoringJob) -> None:
        shift.in_hand.pop(job.scoring_id, None)
        shift.on_done()

    def _store_failed(self, shift: _Shift, fault: SQLAlchemyError) -> None:
        """What was in hand comes back by itself when its lease ends."""
        log.error("the store failed: %s", type(fault).__name__)
        if shift.until_empty:
            shift.fault = fault
        else:
            shift.stop.wait(self._store_down_s)

    def _keep(self, shift: _Shift, over: Event) -> None:
        """Give a sign of life for what is in hand, so that nobody else takes it."""
        while not over.wait(self._keep_every_s):
            try:
                self._worker.keep(list(shift.in_hand.values()))
            except SQLAlchemyError as fault:
                log.error("the store failed: %s", type(fault).__name__)
            self._note_times()

    def _note_times(self) -> None:
        """Whoever is killed loses a minute of them; scoring never fails because of them."""
        try:
            self._worker.note_times()
        except SQLAlchemyError as fault:
            log.error("how long scoring took is not written down yet: %s", type(fault).__name__)
