"""What becomes of a claimed exam on its way: ready for the network, done, or held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cds.errors import OURS, told
from cds.store.store import ScoringJob
from model.domain import RefusedExam, ScoredExam


class Prepared(Protocol):
    """An exam that is ready for the network: `model.prepared.PreparedExam`, or what stands for one elsewhere."""

    @property
    def bytes_held(self) -> int:
        """How much memory its pictures take."""
        ...


@dataclass(frozen=True)
class Ready:
    """An exam whose pictures wait for the network; the job names the study that was found for it."""

    job: ScoringJob
    exam: Prepared


@dataclass(frozen=True)
class Done:
    """An exam that has its score, or the reasons why it has none."""

    job: ScoringJob
    exam: ScoredExam | RefusedExam


@dataclass(frozen=True)
class Held:
    """An exam that could not be looked at now: it is tried again. `fault` is the kind of error."""

    job: ScoringJob
    problem: str
    fault: str
    is_foreseen: bool = True

    @classmethod
    def because_of(cls, job: ScoringJob, fault: Exception) -> Held:
        """The same as the fault is told of everywhere."""
        return cls(job, told(fault), type(fault).__name__, is_foreseen=isinstance(fault, OURS))
