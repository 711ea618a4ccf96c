"""The network over exams that are ready: several at once, and none of them pays for another's fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from cds.scoring.outcomes import Done, Held, Ready
from cds.scoring.stages import StageTimes
from cds.store.tables import Stage
from model.domain import RefusedExam, ScoredExam


class PreparedScorer(Protocol):
    """What scores prepared exams: `model.scorer.Scorer`, or a fake of it."""

    batch_exams: int

    def score(self, exams: Sequence[Any]) -> list[ScoredExam | RefusedExam]:
        """The scores of what was prepared, in its order. For one thread."""
        ...


class BatchScoring:
    """Scores with one network, in one thread."""

    at_once = 1

    def __init__(self, scorer: PreparedScorer, times: StageTimes) -> None:
        self._scorer, self._times = scorer, times

    @property
    def batch_exams(self) -> int:
        """How many exams are best scored together."""
        return self._scorer.batch_exams

    def scored(self, ready: Sequence[Ready]) -> list[Done | Held]:
        """What comes of each, in their order."""
        try:
            with self._times.of(Stage.SCORE, len(ready)):
                exams = self._scorer.score([one.exam for one in ready])
        except Exception as fault:  # noqa: BLE001 # an exam's unforeseen fault must not stop the others; it stays queued
            if len(ready) == 1:
                return [Held.because_of(ready[0].job, fault)]
            return [outcome for one in ready for outcome in self.scored([one])]  # whose fault it was shows one by one
        return [Done(one.job, exam) for one, exam in zip(ready, exams, strict=True)]
