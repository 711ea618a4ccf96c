"""The parts of scoring put together, to take exams through them one after the other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from cds.pacs.archive import ImageArchive
from cds.scoring.batches import BatchScoring
from cds.scoring.books import Books
from cds.scoring.outcomes import Ready
from cds.scoring.preparation import Preparation
from cds.scoring.stages import StageTimes
from cds.store.store import ScoringJob, Store
from tests.cds.builders import MODEL, Clock
from tests.cds.scoring.fakes import FakeScorer


class Parts:
    """Books, preparation and scoring, without any thread."""

    def __init__(
        self,
        store: Store,
        archive: ImageArchive,
        scorer: FakeScorer | None = None,
        now: Callable[[], datetime] | None = None,
        *,
        clock_s: Callable[[], float] = lambda: 0.0,
        check_patient_id: bool = True,
    ) -> None:
        clock, used, times = now or Clock(), scorer or FakeScorer(), StageTimes(clock_s)
        self.books = Books(store, MODEL.key, clock, times)
        self.preparation = Preparation(archive, used, clock, times, check_patient_id=check_patient_id)
        self.scoring = BatchScoring(used, times)

    def work(self, due_by: datetime | None = None) -> None:
        """Take all that is due through every part, one after the other."""
        while job := self.books.claim(due_by):
            self.finish(job)

    def finish(self, *jobs: ScoringJob) -> None:
        """Take claimed exams through the parts; those that get ready are scored together."""
        by_errand = {job.scoring_id: job for job in jobs}
        prepared = [self.preparation.prepared(job) for job in jobs]
        ready = [one for one in prepared if isinstance(one, Ready)]
        closed = [one for one in prepared if not isinstance(one, Ready)]
        for outcome in [*closed, *(self.scoring.scored(ready) if ready else [])]:
            self.books.close(by_errand[outcome.job.scoring_id], outcome)

    def claimed(self) -> ScoringJob:
        """The next exam, which must be there."""
        job = self.books.claim()
        assert job is not None
        return job
