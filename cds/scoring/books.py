"""The store's side of scoring: which exam is next, that it is still ours, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from cds.scoring.outcomes import Done, Held
from cds.scoring.stages import StageTimes
from cds.store.queueing import LEASE
from cds.store.store import EVERYTHING, ScoringJob, Selection, Store
from cds.store.tables import Stage
from model.domain import ScoredExam

__all__ = ["LEASE", "Books"]

log = logging.getLogger(__name__)


class Books:
    """The errands of one model. Every method raises SQLAlchemyError where the store itself fails."""

    def __init__(self, store: Store, model: str, now: Callable[[], datetime], times: StageTimes) -> None:
        self._store, self._now = store, now
        self.model, self.times = model, times

    def claim(self, due_by: datetime | None = None, selection: Selection = EVERYTHING) -> ScoringJob | None:
        """The next exam that is due, or was by `due_by`; it is then this worker's for the length of a lease."""
        return self._store.claim(self.model, self._now(), LEASE, due_by, selection)

    def keep(self, jobs: Sequence[ScoringJob]) -> None:
        """Have claimed exams stay with this worker for another lease."""
        self._store.renew(jobs, self._now(), LEASE)

    def close(self, claimed: ScoringJob, outcome: Done | Held) -> None:
        """Write down what came of an exam. One that is held stays queued with the reason."""
        job = outcome.job
        if isinstance(outcome, Held):
            self._store.save_failure(job, outcome.problem, self._now())
            _tell(outcome)
            return
        if job.study_uid is not None and claimed.study_uid is None:
            # Not before: what is held may by the next attempt have been sent again, as another study.
            self._store.resolve(claimed, job.study_uid, job.dicomweb_root)
        exam = outcome.exam
        with self.times.of(Stage.STORE):
            if isinstance(exam, ScoredExam):
                self._store.save_score(job, exam)
                return
            self._store.save_refusal(job, exam, self._now())
        log.info("an exam is refused: %s", ", ".join(sorted({exclusion.reason for exclusion in exam.exclusions})))

    def note_times(self) -> None:
        """Write down how long the stages took since the last time."""
        self.times.write(lambda spent: self._store.add_times(self.model, self._now(), spent))


def _tell(held: Held) -> None:
    if held.is_foreseen:
        log.warning("an exam is held: %s: %s", held.fault, held.problem)
    else:
        log.error("an exam is held: %s", held.fault)
