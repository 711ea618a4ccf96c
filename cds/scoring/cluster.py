"""The engine for more than one machine: a Ray cluster prepares exams on its cores and scores them on its GPUs.

The pipeline with its errands, its bound on memory and its books is that of one machine, and only it touches the store.
Where on the cluster something is done, how pictures get to a scorer, and what is done again after a machine was lost,
is Ray's. Needs the extra `cluster`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from queue import SimpleQueue
from typing import Any, cast

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from cds.errors import ClusterNotUsable, MammoTrendError
from cds.scoring.books import Books
from cds.scoring.budget import ByteBudget
from cds.scoring.cluster_node import NodeScorer, Told, prepare
from cds.scoring.outcomes import Done, Held, Ready
from cds.scoring.pipeline import ScoringPipeline
from cds.scoring.stages import StageTimes
from cds.settings import ClusterSettings
from cds.store.stage_times import Spent
from cds.store.store import ScoringJob, Store
from cds.store.tables import Stage

log = logging.getLogger(__name__)

STARTS_WITHIN_S = 600.0
"""How long the scorers may take to be placed, and to load and check the model."""
SCORES_WITHIN_S = 300.0
"""A scorer that is silent for so long is taken for lost."""
TRIES = 60
PLACE = 0.01
"""The share of a core that a scorer reserves, so that it is placed where there are cores.

If it reserved what it computes on, the scorers of a lost node could take all cores that are left, and no exam would be
prepared any more. There are no more scorers, and no more exams under way, than the cores of the cluster are for.
"""
REST_S = 2.0
"""Between two tries while a scorer is lost: meanwhile Ray makes it anew on another node."""


class ClusterFault(MammoTrendError):
    """The cluster lost an exam more often than it tries again."""


@dataclass(frozen=True)
class Elsewhere:
    """Stands for a prepared exam, whose pictures lie in the memory of a node."""

    bytes_held: int
    pictures: Any = field(repr=False)


class ClusterPreparation:
    """Has nodes fetch and prepare exams, for as many threads as exams are to be under way."""

    def __init__(self, model: str, *, scored_on_gpu: bool, cores: float, at_once: int, times: StageTimes) -> None:
        self._model, self._scored_on_gpu = model, scored_on_gpu
        self._at_once, self._times = at_once, times
        self._prepare: Any = ray.remote(num_cpus=cores, num_returns=2)(prepare)

    def prepared(self, job: ScoringJob) -> Ready | Done | Held:
        """The exam ready for the network, refused, or held for whatever reason."""
        telling, pictures = self._prepare.remote(self._model, self._scored_on_gpu, job)
        try:
            told: Told = ray.get(telling)
        except RayError as fault:
            return _lost(job, fault)
        _count(self._times, told.spent, self._at_once)
        if told.ready is not None:
            return Ready(told.ready, Elsewhere(told.bytes_held, pictures))
        return told.outcomes[0]


class ClusterScoring:
    """Scorers on the nodes, each with the model in its memory, for as many threads as there are of them."""

    def __init__(
        self, model: str, *, scorers: int, cores: int, gpus: int, times: StageTimes, rest_s: float = REST_S
    ) -> None:
        """Returns once all have checked their model; raises ClusterNotUsable."""
        self.at_once, self._times, self._rest_s = scorers, times, rest_s
        placed: Any = ray.remote(num_cpus=PLACE, num_gpus=gpus, max_restarts=-1, scheduling_strategy="SPREAD")(
            NodeScorer
        )
        self._free: SimpleQueue[Any] = SimpleQueue()
        actors = [placed.remote(model, cores) for _ in range(scorers)]
        try:
            self.batch_exams = min(ray.get([one.batch_exams.remote() for one in actors], timeout=STARTS_WITHIN_S))
        except GetTimeoutError:
            raise ClusterNotUsable(
                f"the cluster did not start {scorers} scorers in {STARTS_WITHIN_S:.0f} s: it is too small for them, or "
                "busy; see cluster.scorers and cluster.cores_a_scorer in the settings"
            ) from None
        except RayTaskError as fault:
            raise ClusterNotUsable(f"a scorer of the cluster cannot work: {fault.cause}") from None
        except RayError as fault:
            raise ClusterNotUsable(f"a scorer of the cluster was lost at its start ({type(fault).__name__})") from None
        for actor in actors:
            self._free.put(actor)

    def scored(self, ready: Sequence[Ready]) -> list[Done | Held]:
        """What comes of each, in their order. Where a scorer is lost, another one does it."""
        jobs, exams = [one.job for one in ready], cast(list[Elsewhere], [one.exam for one in ready])
        pictures = [exam.pictures for exam in exams]
        for number in range(TRIES):
            scorer = self._free.get()
            try:
                told: Told = ray.get(scorer.score.remote(jobs, *pictures), timeout=SCORES_WITHIN_S)
            except (RayActorError, GetTimeoutError) as fault:
                level = logging.DEBUG if number else logging.WARNING
                log.log(level, "a scorer of the cluster is lost (%s); another is tried", type(fault).__name__)
                time.sleep(self._rest_s)
            except RayError as fault:
                return [_lost(job, fault) for job in jobs]
            else:
                _count(self._times, told.spent, self.at_once)
                return list(told.outcomes)
            finally:
                self._free.put(scorer)
        return [Held.because_of(job, ClusterFault("no scorer of the cluster answers")) for job in jobs]


def on_cluster(
    settings: ClusterSettings, store: Store, model: str, now: Callable[[], datetime], *, store_down_s: float = 5.0
) -> ScoringPipeline:
    """A pipeline whose exams a running Ray cluster prepares and scores; raises ClusterNotUsable.

    Every node reads its own settings file, which `MAMMOTREND_CONFIG` names there, and must have the same model.
    """
    cores, gpus, nodes = _joined(settings.address)
    fetchers = settings.fetchers or max(1, int(cores / settings.cores_an_exam))
    scorers = settings.scorers or gpus or nodes
    times = StageTimes()
    threads = settings.cores_a_scorer or (1 if gpus else max(1, cores // scorers))
    scoring = ClusterScoring(model, scorers=scorers, cores=threads, gpus=min(1, gpus), times=times)
    preparation = ClusterPreparation(
        model, scored_on_gpu=gpus > 0, cores=settings.cores_an_exam, at_once=fetchers, times=times
    )
    used = f"{nodes} nodes, {cores} cores and {gpus} GPUs: {scorers} scorers, {fetchers} exams under way"
    log.info("a cluster of %s", used)
    books, budget = Books(store, model, now, times), ByteBudget(settings.in_flight_megabytes << 20)
    return ScoringPipeline(books, preparation, scoring, budget, fetchers=fetchers, store_down_s=store_down_s)


def _joined(address: str) -> tuple[int, int, int]:
    """Join a running cluster: its cores, GPUs and nodes."""
    try:
        # What its nodes log stays there: what came of an exam is told by the books.
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RayError, ValueError) as fault:
        raise ClusterNotUsable(
            f"no Ray cluster can be joined at cluster.address = {address!r} ({type(fault).__name__}): start one with "
            "`ray start`, see docs/cluster.md"
        ) from None
    there = ray.cluster_resources()
    computing = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if not computing:
        raise ClusterNotUsable("the cluster has no node with cores: add one with `ray start --address=...`")
    return int(there["CPU"]), int(there.get("GPU", 0)), len(computing)


def _count(times: StageTimes, spent: Mapping[Stage, Spent], at_once: int) -> None:
    """Each of the exams that are in a stage at the same time counts for its part."""
    for stage, one in spent.items():
        times.add(stage, Spent(one.seconds / at_once, one.exams))


def _lost(job: ScoringJob, fault: RayError) -> Held:
    return Held.because_of(job, ClusterFault(f"the cluster lost it ({type(fault).__name__}); it is tried again"))
