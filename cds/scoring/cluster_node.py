"""What runs on the nodes of a cluster: a function that prepares an exam, and an object that holds a network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from cds.errors import ClusterNotUsable, MammoTrendError, ModelNotUsable
from cds.scoring.batches import BatchScoring
from cds.scoring.outcomes import Done, Held, Prepared, Ready
from cds.scoring.preparation import Preparation
from cds.scoring.site_scorer import site_scorer
from cds.scoring.stages import StageTimes
from cds.services import archives, usable_card, utc_now
from cds.settings import Settings, read_settings
from cds.store.stage_times import Spent
from cds.store.store import ScoringJob
from cds.store.tables import Stage
from model.preparer import Preparer

CONFIG = "MAMMOTREND_CONFIG"


@dataclass(frozen=True)
class Told:
    """What a node says of exams, and how long it was at them. `bytes_held` is what the pictures of a ready one take."""

    outcomes: Sequence[Done | Held]
    spent: Mapping[Stage, Spent]
    ready: ScoringJob | None = None
    bytes_held: int = 0


def prepare(model: str, scored_on_gpu: bool, job: ScoringJob) -> tuple[Told, Prepared | None]:
    """What comes of an exam, and apart from it its pictures; where GPUs score, it is they that make them."""
    times = _times()
    try:
        outcome = _preparation(model, scored_on_gpu).prepared(job)
    except MammoTrendError as fault:
        outcome = Held.because_of(job, fault)
    if isinstance(outcome, Ready):
        return Told([], times.taken(), outcome.job, outcome.exam.bytes_held), outcome.exam
    return Told([outcome], times.taken()), None


class NodeScorer:
    """A network with its weights on a device of a node, loaded and checked once."""

    def __init__(self, model: str, cores: int) -> None:
        """Computes on so many cores, or on a GPU.

        What is wrong with the node is kept to be told: who cannot be made at all would be made again for ever.
        """
        torch.set_num_threads(cores)
        self._times, self.problem = StageTimes(), ""
        try:
            scorer = site_scorer(_settings())
            _require(model, scorer.card.version.key)
        except MammoTrendError as fault:
            self.problem = str(fault)
            return
        self._scoring = BatchScoring(scorer, self._times)

    def batch_exams(self) -> int:
        """How many exams are best scored together; raises ModelNotUsable where it can score none."""
        if self.problem:
            raise ModelNotUsable(self.problem)
        return self._scoring.batch_exams

    def score(self, jobs: Sequence[ScoringJob], *pictures: Prepared) -> Told:
        """What comes of exams whose pictures are given."""
        if self.problem:
            fault = ModelNotUsable(self.problem)
            return Told([Held.because_of(job, fault) for job in jobs], {})
        ready = [Ready(job, exam) for job, exam in zip(jobs, pictures, strict=True)]
        return Told(self._scoring.scored(ready), self._times.taken())


@cache
def _times() -> StageTimes:
    return StageTimes()


@cache
def _preparation(model: str, scored_on_gpu: bool) -> Preparation:
    """Once in each process of a node, which takes one exam at a time."""
    settings = _settings()
    card = usable_card(settings)
    _require(model, card.version.key)
    refuse = settings.refuse_unvalidated_devices
    preparer = Preparer(card, makes_pictures=not scored_on_gpu, refuse_unvalidated_devices=refuse)
    checks = settings.imaging.check_patient_id
    return Preparation(archives(settings), preparer, utc_now, _times(), check_patient_id=checks)


def _settings() -> Settings:
    """Those of the node: secrets do not travel."""
    file = os.environ.get(CONFIG)
    if not file:
        raise ClusterNotUsable(f"{CONFIG} was not set where `ray start` was called on a node: name its settings file")
    return read_settings(Path(file))


def _require(wanted: str, found: str) -> None:
    if found != wanted:
        raise ModelNotUsable("a node of the cluster has another model than this process; install the same on all")
