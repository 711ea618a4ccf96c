"""Fetching, decoding, scoring and storing of different exams at the same time, within a bound of memory."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from cds.scoring.books import LEASE, Books
from cds.scoring.budget import ByteBudget
from cds.scoring.outcomes import Done, Held, Ready
from cds.store.database_faults import concerns_all
from cds.store.store import EVERYTHING, ScoringJob, Selection
from cds.store.tables import Stage

log = logging.getLogger(__name__)

IDLE_S = 0.2
READY_POLL_S = 0.02
PICTURE_BYTES = 64 << 20
"""What a picture may take as it comes: one of the largest detector, uncompressed."""
STUDY_BYTES = 4 * PICTURE_BYTES
"""What an exam is thought to take until it is prepared: four pictures as they came, and as they were decoded."""
BATCHES_READY = 2
"""How many batches may wait for the network: an urgent exam waits behind them."""
FETCHERS = 6
"""How many exams are fetched at the same time."""


class Preparing(Protocol):
    """What makes exams ready: `cds.scoring.preparation.Preparation`, or a cluster."""

    def prepared(
        self, job: ScoringJob, on_listed: Callable[[int], None], on_fetched: Callable[[int], None], /
    ) -> Ready | Done | Held:
        """The exam ready for the network, refused, or held for whatever reason. For any thread.

        `on_listed` is told how many images are to be fetched into this process, and may wait for room for them;
        `on_fetched` how many bytes they take, once they are there.
        """
        ...


class Scoring(Protocol):
    """What scores exams that are ready: `cds.scoring.batches.BatchScoring`, or a cluster."""

    @property
    def batch_exams(self) -> int:
        """How many exams are best scored together."""
        ...

    @property
    def at_once(self) -> int:
        """How many threads may score at the same time."""
        ...

    def scored(self, ready: Sequence[Ready]) -> list[Done | Held]:
        """What comes of each, in their order."""
        ...


@dataclass
class _Shift:
    """One go of the pipeline: what it takes, what it has in hand, and how it ends."""

    stop: Event
    due_by: datetime | None = None
    selection: Selection = EVERYTHING
    until_empty: bool = False
    on_done: Callable[[], None] = lambda: None
    ready: SimpleQueue[Ready | None] = field(default_factory=SimpleQueue)
    outcomes: SimpleQueue[Done | Held | None] = field(default_factory=SimpleQueue)
    in_hand: dict[tuple[int, int], ScoringJob] = field(default_factory=dict)
    over: Event = field(default_factory=Event)
    lookout: Lock = field(default_factory=Lock)
    claimed_s: float = -math.inf
    fault: SQLAlchemyError | None = None
    broken: bool = False

    def is_over(self) -> bool:
        """Whether nothing more is to be taken."""
        return self.stop.is_set() or self.broken or self.fault is not None


class ScoringPipeline:
    """Threads that fetch and prepare, that score, and one that stores; what is in flight stays within the budget."""

    def __init__(
        self,
        books: Books,
        preparing: Preparing,
        scoring: Scoring,
        budget: ByteBudget,
        *,
        fetchers: int = FETCHERS,
        store_down_s: float = 5.0,
        keep_every_s: float = LEASE.total_seconds() / 3,
    ) -> None:
        self._books, self._preparing, self._scoring, self._budget = books, preparing, scoring, budget
        self._fetchers, self._store_down_s, self._keep_every_s = fetchers, store_down_s, keep_every_s

    def run(self, stop: Event) -> None:
        """Score until told to stop; the exams in hand are finished first. A database that is down is waited for."""
        log.info("scoring with %s", self._books.model)
        self._work(_Shift(stop))

    def drain(
        self,
        stop: Event,
        due_by: datetime,
        selection: Selection = EVERYTHING,
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        """Try every exam of the selection once that was due by a moment; raises SQLAlchemyError where the store fails.

        `on_done` is called after each, from another thread.
        """
        shift = _Shift(stop, due_by, selection, until_empty=True, on_done=on_done)
        self._work(shift)
        if shift.fault:
            raise shift.fault

    def limiting(self) -> Stage | None:
        """The stage that the others have waited for so far; None where nothing was scored."""
        return self._books.times.limiting()

    def _work(self, shift: _Shift) -> None:
        """Each stage ends when the one before it has, so that all that is in hand is finished."""
        scorers_count = self._scoring.at_once
        with ThreadPoolExecutor(self._fetchers + scorers_count + 2) as threads:
            keeper = threads.submit(_or_break, self._keep, shift)
            storer = threads.submit(_or_break, self._store, shift)
            scorers = [threads.submit(_or_break, self._score, shift) for _ in range(scorers_count)]
            fetchers = [threads.submit(_or_break, self._fetch, shift) for _ in range(self._fetchers)]
            wait(fetchers)
            for _ in scorers:
                shift.ready.put(None)
            wait(scorers)
            shift.outcomes.put(None)
            wait([storer])
            shift.over.set()
        self._note_times()
        for thread in (*fetchers, *scorers, storer, keeper):
            thread.result()  # raises what ended it

    def _fetch(self, shift: _Shift) -> None:
        """One fetching thread."""
        while not shift.is_over():
            began_s = time.monotonic()
            if shift.ready.qsize() >= BATCHES_READY * self._scoring.batch_exams * self._scoring.at_once:
                shift.stop.wait(READY_POLL_S)
            elif not self._fetch_next(shift):
                if shift.until_empty:
                    return
                self._wait_for_more(shift, began_s)

    def _wait_for_more(self, shift: _Shift, since_s: float) -> None:
        """One idle thread at a time asks the store, however many there are; what it finds calls the others, too."""
        with shift.lookout:
            if shift.claimed_s < since_s and not shift.is_over():
                shift.stop.wait(IDLE_S)

    def _fetch_next(self, shift: _Shift) -> bool:
        """Claim and prepare one exam; False where there was none."""
        if not self._budget.reserve(STUDY_BYTES, shift.is_over):
            return False
        taken, held = STUDY_BYTES, 0

        def expect(images: int) -> None:
            """Where the pipeline breaks down nobody makes room any more: then what is in hand comes to its end."""
            nonlocal taken
            if (wanted := images * PICTURE_BYTES) > taken:
                has_room = self._budget.exchange(taken, wanted, lambda: shift.broken)
                taken = wanted if has_room else 0

        def weigh(fetched: int) -> None:
            nonlocal taken
            is_there = max(fetched, STUDY_BYTES)
            self._budget.change(taken, is_there)
            taken = is_there

        try:
            job = self._claimed(shift)
            if job is None:
                return False
            outcome = self._preparing.prepared(job, expect, weigh)
            if isinstance(outcome, Ready):
                held = outcome.exam.bytes_held
                shift.ready.put(outcome)
            else:
                shift.outcomes.put(outcome)
        finally:
            self._budget.change(taken, held)
        return True

    def _claimed(self, shift: _Shift) -> ScoringJob | None:
        try:
            job = self._books.claim(shift.due_by, shift.selection)
        except SQLAlchemyError as fault:
            self._store_failed(shift, fault)
            return None
        if job is not None:
            shift.in_hand[_attempt(job)] = job
            shift.claimed_s = time.monotonic()
        return job

    def _score(self, shift: _Shift) -> None:
        """One scoring thread."""
        while self._score_next(shift):
            pass

    def _score_next(self, shift: _Shift) -> bool:
        """Score a batch; False where there is nothing more. No picture is held on to while the next is waited for."""
        batch = self._batch(shift)
        for outcome in self._scoring.scored(batch) if batch else []:
            shift.outcomes.put(outcome)
        for one in batch:
            self._budget.change(one.exam.bytes_held, 0)
        return bool(batch)

    def _batch(self, shift: _Shift) -> list[Ready]:
        """What is ready, up to a batch of it; waits for the first. None in the queue ends one scoring thread."""
        batch: list[Ready] = []
        while len(batch) < self._scoring.batch_exams:
            try:
                one = shift.ready.get(block=not batch)
            except Empty:
                break
            if one is None:
                if batch:
                    shift.ready.put(None)
                break
            batch.append(one)
        return batch

    def _store(self, shift: _Shift) -> None:
        while (outcome := shift.outcomes.get()) is not None:
            attempt = _attempt(outcome.job)
            try:
                self._close(shift.in_hand[attempt], outcome)
            except SQLAlchemyError as fault:
                self._store_failed(shift, fault)
            del shift.in_hand[attempt]
            shift.on_done()

    def _close(self, claimed: ScoringJob, outcome: Done | Held) -> None:
        """Write down what came of an exam. What the store refuses of one exam holds that exam, and stops no other."""
        try:
            self._books.close(claimed, outcome)
        except (SQLAlchemyError, ValueError, OverflowError) as fault:
            if concerns_all(fault):
                raise
            self._books.close(claimed, Held.because_of(outcome.job, fault))

    def _store_failed(self, shift: _Shift, fault: SQLAlchemyError) -> None:
        """What was in hand comes back by itself when its lease ends."""
        log.error("the store failed: %s", type(fault).__name__)
        if shift.until_empty:
            shift.fault = fault
        else:
            shift.stop.wait(self._store_down_s)

    def _keep(self, shift: _Shift) -> None:
        """Give a sign of life for what is in hand, so that nobody else takes it."""
        while not shift.over.wait(self._keep_every_s):
            try:
                self._books.keep(list(shift.in_hand.values()))
            except SQLAlchemyError as fault:
                log.error("the store failed: %s", type(fault).__name__)
            self._note_times()

    def _note_times(self) -> None:
        """Whoever is killed loses a minute of them; scoring never fails because of them."""
        try:
            self._books.note_times()
        except SQLAlchemyError as fault:
            log.error("how long scoring took is not written down yet: %s", type(fault).__name__)


def _attempt(job: ScoringJob) -> tuple[int, int]:
    """An exam may be in hand twice: its lease was over, or it was corrected meanwhile. Only the last attempt counts."""
    return job.scoring_id, job.attempts


def _or_break(work: Callable[[_Shift], None], shift: _Shift) -> None:
    """A thread that ends by an unforeseen fault ends the others, too."""
    try:
        work(shift)
    except BaseException:
        shift.broken = True
        raise
