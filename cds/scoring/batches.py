"""The network over exams that are ready: several at once, and none of them pays for another's fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from cds.scoring.outcomes import Done, Held, Ready
from cds.scoring.stages import StageTimes
from cds.store.tables import Stage
from model.domain import RefusedExam, ScoredExam
from model.errors import DeviceBusy, DeviceLost


class PreparedScorer(Protocol):
    """What scores prepared exams: `model.scorer.Scorer`, or a fake of it."""

    batch_exams: int

    def score(self, exams: Sequence[Any]) -> list[ScoredExam | RefusedExam]:
        """The scores of what was prepared, in its order; raises DeviceFault. For one thread."""
        ...


class BatchScoring:
    """Scores with one network, in one thread."""

    at_once = 1

    def __init__(self, scorer: PreparedScorer, times: StageTimes) -> None:
        self._scorer, self._times = scorer, times
        self._fit: int | None = None

    @property
    def batch_exams(self) -> int:
        """How many exams are best scored together; fewer once the memory of the device did not do for as many."""
        return min(self._scorer.batch_exams, self._fit or self._scorer.batch_exams)

    def scored(self, ready: Sequence[Ready]) -> list[Done | Held]:
        """What comes of each, in their order; raises DeviceLost, which is no exam's fault."""
        return self._by(self._fit or len(ready) or 1, ready)

    def _by(self, together: int, ready: Sequence[Ready]) -> list[Done | Held]:
        """So many at a time."""
        parts = (ready[first : first + together] for first in range(0, len(ready), together))
        return [outcome for part in parts for outcome in self._tried(part)]

    def _tried(self, ready: Sequence[Ready]) -> list[Done | Held]:
        try:
            with self._times.of(Stage.SCORE, len(ready)):
                exams = self._scorer.score([one.exam for one in ready])
        except DeviceLost:
            raise
        except DeviceBusy as fault:
            again = self._fit = max(1, len(ready) // 2)
            held: list[Done | Held] = [Held(one.job, str(fault), type(fault).__name__) for one in ready]
        except Exception as fault:  # noqa: BLE001 # an exam's unforeseen fault must not stop the others; it stays queued
            again = 1  # whose fault it was shows one by one
            held = [Held.because_of(one.job, fault) for one in ready]
        else:
            return [Done(one.job, exam) for one, exam in zip(ready, exams, strict=True)]
        # Only here: until a fault is let go, its traceback holds all that the failed try has made on the device.
        return held if len(ready) == 1 else self._by(again, ready)
