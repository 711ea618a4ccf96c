"""What runs on the nodes of a cluster: a check, a function that prepares an exam, an object that holds a network."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch

from cds.commands.command_line import set_up_logging
from cds.errors import ClusterNotUsable, MammoTrendError, ModelNotUsable, told
from cds.operations.safety import refuse_unsafe
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
from model.errors import DeviceLost
from model.prepared import PreparedExam
from model.preparer import Preparer, left_to_the_scorer
from model.preprocessing import finished
from model.provenance import software

CONFIG = "MAMMOTREND_CONFIG"


class ClusterFault(MammoTrendError):
    """The cluster lost an exam more often than it tries again."""


@dataclass(frozen=True)
class Told:
    """What a node says of exams, and how long it was at them. `bytes_held` is what the pictures of a ready one take.

    With a `problem` the node itself cannot work, and has looked at no exam.
    """

    outcomes: Sequence[Done | Held] = ()
    spent: Mapping[Stage, Spent] = field(default_factory=dict)
    ready: ScoringJob | None = None
    bytes_held: int = 0
    problem: str = ""


def program() -> str:
    """The version of this program. That of torch may differ where GPUs score and other nodes have none."""
    return software().partition(",")[0]


def problem(model: str, wanted: str) -> str:
    """Why this node cannot prepare exams for a model, with this version of the program; empty where it can."""
    try:
        _preparation(model, wanted, scored_on_gpu=False)
    except Exception as fault:  # noqa: BLE001 # whatever it is, it is the node's
        return _in_words(fault)
    return ""


def prepare(model: str, wanted: str, scored_on_gpu: bool, job: ScoringJob) -> tuple[Told, Prepared | None]:
    """What comes of an exam, and apart from it its pictures; where GPUs score, it is they that make them."""
    try:
        preparation = _preparation(model, wanted, scored_on_gpu)
    except Exception as fault:  # noqa: BLE001 # it would take all exams that there are, and hold them one by one
        return Told(problem=_in_words(fault)), None
    outcome = preparation.prepared(job)
    spent = _times().taken()
    if isinstance(outcome, Ready):
        return Told((), spent, outcome.job, outcome.exam.bytes_held), outcome.exam
    return Told([outcome], spent), None


class NodeScorer:
    """A network with its weights on a device of a node, loaded and checked once."""

    def __init__(self, model: str, wanted: str, cores: int, *, on_gpu: bool = False) -> None:
        """Computes on so many cores, or on the GPU that it was given.

        What is wrong with the node is kept to be told: of who cannot be made at all nobody hears why.
        """
        torch.set_num_threads(cores)
        self._times, self.problem = StageTimes(), ""
        try:
            _require_program(wanted)
            settings = _settings()
            scorer = site_scorer(settings)
            _require(model, scorer.card.version.key)
            if on_gpu and not settings.scoring.device and scorer.processor.device.type != "cuda":
                raise ClusterNotUsable(
                    "a scorer was given a GPU there which torch cannot use, and would compute on a core instead; see "
                    "its driver and `mammotrend check` there, or set scoring.device = 'cpu' if that is meant"
                )
        except Exception as fault:  # noqa: BLE001 # whatever it is, it is told
            self.problem = _in_words(fault)
            return
        self._scoring = BatchScoring(scorer, self._times)

    def batch_exams(self) -> int:
        """How many exams are best scored together; raises ClusterNotUsable where it can score none."""
        if self.problem:
            raise ClusterNotUsable(self.problem)
        return self._scoring.batch_exams

    def score(self, jobs: Sequence[ScoringJob], *pictures: PreparedExam | None) -> Told:
        """What comes of exams whose pictures are given, in their order.

        Pictures that were lost with their node were made again, and that may have come to something else. Raises
        DeviceLost where this scorer can score no more: the worker then has another one do it.
        """
        given = zip(jobs, pictures, strict=True)
        ready = [Ready(job, exam) for job, exam in given if exam is not None and exam.study_uid == job.study_uid]
        try:
            outcomes = {one.job: one for one in self._scoring.scored(ready)} if ready else {}
        except DeviceLost as fault:
            self.problem = _in_words(fault)
            raise
        gone = ClusterFault("its pictures were lost with a node, and could not be made again; it is tried again")
        told = [outcomes.get(job) or Held.because_of(job, gone) for job in jobs]
        return Told(told, self._times.taken())


@cache
def _times() -> StageTimes:
    return StageTimes()


@cache
def _preparation(model: str, wanted: str, scored_on_gpu: bool) -> Preparation:
    """Once in each process of a node, which takes one exam at a time."""
    _require_program(wanted)
    settings = _settings()
    card = usable_card(settings)
    _require(model, card.version.key)
    finish = left_to_the_scorer if scored_on_gpu else finished
    preparer = Preparer(card, finish, refuse_unvalidated_devices=settings.refuse_unvalidated_devices)
    checks = settings.imaging.check_patient_id
    return Preparation(archives(settings), preparer, utc_now, _times(), check_patient_id=checks)


def _settings() -> Settings:
    """Those of the node: secrets do not travel. With them its logs, which Ray keeps in files, become quiet."""
    set_up_logging("WARNING")
    file = os.environ.get(CONFIG)
    if not file:
        raise ClusterNotUsable(f"{CONFIG} was not set where `ray start` was called: name its settings file")
    settings = read_settings(Path(file))
    refuse_unsafe(settings)
    return settings


def _require_program(wanted: str) -> None:
    if program() != wanted:
        raise ClusterNotUsable(f"it has {program()}, and the worker {wanted}; install the same on all")


def _require(wanted: str, found: str) -> None:
    if found != wanted:
        raise ModelNotUsable("its settings name another model than the worker's; install the same on all")


def _in_words(fault: Exception) -> str:
    """What is wrong with this node."""
    return f"the node {platform.node()!r} of the cluster cannot work: {told(fault)}"
