"""The engine for more than one machine: a Ray cluster prepares exams on its cores and scores them on its GPUs.

The pipeline with its errands, its bound on memory and its books is that of one machine, and only it touches the store.
Where on the cluster something is done, how pictures get to a scorer, and what is done again after a machine was lost,
is Ray's. Needs the extra `cluster`.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from queue import SimpleQueue
from typing import Any, cast

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cds.errors import ClusterNotUsable, ClusterUnreachable
from cds.scoring.books import Books
from cds.scoring.budget import ByteBudget
from cds.scoring.cluster_node import ClusterFault, NodeScorer, Told, prepare, problem, program
from cds.scoring.outcomes import Done, Held, Ready
from cds.scoring.pipeline import STUDY_BYTES, ScoringPipeline
from cds.scoring.stages import StageTimes
from cds.settings import ClusterSettings
from cds.store.stage_times import Spent
from cds.store.store import ScoringJob, Store
from cds.store.tables import Stage
from model.errors import DeviceLost

log = logging.getLogger(__name__)

ANSWERS_WITHIN_S = 5.0
"""Ray itself would try for a quarter of an hour where nobody listens."""
STARTS_WITHIN_S = 600.0
"""How long the scorers may take to be placed, and to load and check the model."""
PREPARED_WITHIN_S = 3600.0
"""An exam that is away for so long is taken for lost: Ray begins those anew for ever at which memory runs out."""
SCORES_WITHIN_S = 300.0
"""A scorer that is silent for so long is taken for lost."""
TRIES = 3
"""How many scorers may end at an exam, one after the other, until it is held."""
NODES_TRIED = 10
"""How often an exam is given to another node, where one after the other cannot work."""
PLACE = 0.01
"""The share of a core that a scorer reserves, so that it is placed where there are cores.

If it reserved what it computes on, the scorers of a lost node could take all cores that are left, and no exam would be
prepared any more. There are no more scorers, and no more exams under way, than the cores of the cluster are for.
"""
REST_S = 2.0
"""Between two tries, while what was lost is made anew on another node."""


@dataclass(frozen=True)
class Elsewhere:
    """Stands for a prepared exam, whose pictures lie in the memory of a node."""

    bytes_held: int
    pictures: Any = field(repr=False)


class ClusterPreparation:
    """Has nodes fetch and prepare exams, for as many threads as exams are to be under way."""

    def __init__(
        self,
        model: str,
        *,
        scored_on_gpu: bool,
        cores: float,
        at_once: int,
        times: StageTimes,
        rest_s: float = REST_S,
    ) -> None:
        self._model, self._scored_on_gpu = model, scored_on_gpu
        self._at_once, self._times, self._rest_s = at_once, times, rest_s
        self._prepare: Any = ray.remote(num_cpus=cores, num_returns=2)(prepare)
        self._prepare_elsewhere = self._prepare.options(scheduling_strategy="SPREAD")

    def prepared(self, job: ScoringJob, /, *_: Callable[[int], None]) -> Ready | Done | Held:
        """The exam ready for the network, refused, or held for whatever reason. Its images come to a node only."""
        try:
            told, pictures = self._told(job)
        except RayError as fault:
            return _lost(job, fault)
        if told.problem:
            return Held.because_of(job, ClusterNotUsable(told.problem))
        _count(self._times, told.spent, self._at_once)
        if told.ready is not None:
            return Ready(told.ready, Elsewhere(told.bytes_held, pictures))
        return told.outcomes[0]

    def _told(self, job: ScoringJob) -> tuple[Told, Any]:
        """What a node says that can work: one that came later and is not set up is passed over. Raises RayError."""
        task = self._prepare
        for tried in range(1, NODES_TRIED + 1):
            telling, pictures = task.remote(self._model, program(), self._scored_on_gpu, job)
            try:
                told: Told = ray.get(telling, timeout=PREPARED_WITHIN_S)
            except GetTimeoutError:
                ray.cancel(telling, force=True)
                raise
            if not told.problem or tried == NODES_TRIED:
                break
            log.warning("%s", told.problem)
            time.sleep(self._rest_s)
            task = self._prepare_elsewhere
        return told, pictures


class ClusterScoring:
    """Scorers on the nodes, each with the model in its memory, for as many threads as there are of them."""

    def __init__(
        self, model: str, *, scorers: int, cores: int, gpus: int, times: StageTimes, rest_s: float = REST_S
    ) -> None:
        """Returns once all have checked their model; raises ClusterNotUsable."""
        self.at_once, self._times, self._rest_s = scorers, times, rest_s
        self._model, self._cores, self._on_gpu = model, cores, gpus > 0
        # A scorer that is lost is not Ray's to make anew: calls to one that waits for a place would fail meanwhile.
        self._scorer: Any = ray.remote(num_cpus=PLACE, num_gpus=gpus, scheduling_strategy="SPREAD")(NodeScorer)
        self._free: SimpleQueue[Any] = SimpleQueue()
        actors = [self._placed() for _ in range(scorers)]
        self.batch_exams = min(
            _at_start([actor.batch_exams.remote() for actor in actors], f"did not start {scorers} scorers")
        )
        for actor in actors:
            self._free.put(actor)

    def scored(self, ready: Sequence[Ready]) -> list[Done | Held]:
        """What comes of each, in their order. Where a scorer is lost, another one does it."""
        jobs, exams = [one.job for one in ready], cast(list[Elsewhere], [one.exam for one in ready])
        fault: Exception = RayActorError()
        for _ in range(TRIES):
            scorer = self._working()
            if scorer is None:
                return [Held.because_of(job, ClusterFault("no scorer of the cluster answers")) for job in jobs]
            try:
                score = scorer.score.remote(jobs, *(exam.pictures for exam in exams))
                told: Told = ray.get(score, timeout=SCORES_WITHIN_S)
            except (RayActorError, GetTimeoutError, DeviceLost) as lost:
                fault, scorer = lost, self._in_place_of(scorer, type(lost).__name__)
            except RayError as lost:
                fault = lost
                break
            else:
                _count(self._times, told.spent, self.at_once)
                return list(told.outcomes)
            finally:
                self._free.put(scorer)
        if len(ready) == 1:
            return [_lost(jobs[0], fault)]
        return [outcome for one in ready for outcome in self.scored([one])]  # whose fault it was shows one by one

    def _working(self) -> Any:
        """A scorer that is there and has checked its model; None where there has been none for long."""
        until_s = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < until_s:
            scorer = self._free.get()
            try:
                ray.get(scorer.batch_exams.remote(), timeout=self._rest_s)
            except GetTimeoutError:
                self._free.put(scorer)  # it waits for a place, or loads the model: another one may be there
            except RayError as fault:
                words = str(fault.cause) if isinstance(fault, RayTaskError) else type(fault).__name__
                self._free.put(self._in_place_of(scorer, words))
                time.sleep(self._rest_s)
            else:
                return scorer
        return None

    def _in_place_of(self, scorer: Any, why: str) -> Any:
        """A new scorer, placed wherever there is room. Nobody waits for it here."""
        log.warning("a scorer of the cluster is lost (%s); another takes its place", why)
        ray.kill(scorer)
        return self._placed()

    def _placed(self) -> Any:
        return self._scorer.remote(self._model, program(), self._cores, on_gpu=self._on_gpu)


def on_cluster(
    settings: ClusterSettings, store: Store, model: str, now: Callable[[], datetime], *, store_down_s: float = 5.0
) -> ScoringPipeline:
    """A pipeline whose exams a running Ray cluster prepares and scores; raises ClusterNotUsable.

    Every node reads its own settings file, which `MAMMOTREND_CONFIG` names there, and must have the same model.
    """
    nodes = _joined(settings.address)
    _check(nodes, model)
    there = ray.cluster_resources()
    cores, gpus = int(there["CPU"]), int(there.get("GPU", 0))
    if gpus and settings.scorers > gpus:
        raise ClusterNotUsable(f"cluster.scorers = {settings.scorers} wants a GPU each, and the cluster has {gpus}")
    fetchers = settings.fetchers or max(1, int(cores / settings.cores_an_exam))
    scorers = settings.scorers or gpus or len(nodes)
    times = StageTimes()
    threads = settings.cores_a_scorer or (1 if gpus else max(1, cores // scorers))
    scoring = ClusterScoring(model, scorers=scorers, cores=threads, gpus=min(1, gpus), times=times)
    preparation = ClusterPreparation(
        model, scored_on_gpu=gpus > 0, cores=settings.cores_an_exam, at_once=fetchers, times=times
    )
    used = f"{len(nodes)} nodes, {cores} cores and {gpus} GPUs: {scorers} scorers, {fetchers} exams under way"
    log.info("a cluster of %s", used)
    in_flight = settings.in_flight_megabytes << 20 or 2 * fetchers * STUDY_BYTES
    books, budget = Books(store, model, now, times), ByteBudget(in_flight)
    return ScoringPipeline(books, preparation, scoring, budget, fetchers=fetchers, store_down_s=store_down_s)


def _joined(address: str) -> list[str]:
    """Join a running cluster: the ids of its nodes that have cores."""
    try:
        if address != "auto":
            _ask(address)
        # What its nodes log stays there: what came of an exam is told by the books.
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (OSError, RayError, RuntimeError, ValueError) as fault:
        raise ClusterUnreachable(
            f"no Ray cluster can be joined at cluster.address = {address!r} ({type(fault).__name__}): start one with "
            "`ray start`, on this machine too, see docs/cluster.md"
        ) from None
    nodes = [str(node["NodeID"]) for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if not nodes:
        raise ClusterNotUsable("the cluster has no node with cores: add one with `ray start --address=...`")
    return nodes


def _ask(address: str) -> None:
    """Raise OSError where nobody listens, ValueError where it is no `host:port`."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), ANSWERS_WITHIN_S).close()


def _check(nodes: Sequence[str], model: str) -> None:
    """Raise ClusterNotUsable where a node cannot prepare exams for the model."""
    asked: Any = ray.remote(num_cpus=0)(problem)
    placed = [asked.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)) for node in nodes]
    problems = _at_start([one.remote(model, program()) for one in placed], f"did not answer on {len(nodes)} nodes")
    told = "; ".join(filter(None, problems))
    if told:
        raise ClusterNotUsable(told)


def _at_start(answers: Sequence[Any], failed: str) -> list[Any]:
    """What the nodes answer before anything is scored; raises ClusterNotUsable."""
    try:
        return list(ray.get(answers, timeout=STARTS_WITHIN_S))
    except GetTimeoutError:
        raise ClusterNotUsable(
            f"the cluster {failed} in {STARTS_WITHIN_S:.0f} s: it is too small for them, or busy; see cluster.scorers "
            "and cluster.cores_a_scorer in the settings"
        ) from None
    except RayTaskError as fault:
        if isinstance(fault.cause, ClusterNotUsable):
            raise ClusterNotUsable(str(fault.cause)) from None
        raise ClusterNotUsable(
            f"a node of the cluster cannot work ({type(fault.cause).__name__}): is mammotrend installed there, in the "
            "Python that `ray start` belongs to?"
        ) from None
    except RayError as fault:
        raise ClusterNotUsable(f"a node of the cluster was lost at its start ({type(fault).__name__})") from None


def _count(times: StageTimes, spent: Mapping[Stage, Spent], at_once: int) -> None:
    """Each of the exams that are in a stage at the same time counts for its part."""
    for stage, one in spent.items():
        times.add(stage, Spent(one.seconds / at_once, one.exams))


def _lost(job: ScoringJob, fault: Exception) -> Held:
    return Held.because_of(job, ClusterFault(f"the cluster lost it ({type(fault).__name__}); it is tried again"))
