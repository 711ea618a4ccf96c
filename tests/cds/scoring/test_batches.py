"""The network over several exams at once: whose fault it is when a batch fails, and what a device that fails is."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from threading import Event
from typing import Any

import pytest

from cds.scoring.batches import BatchScoring
from cds.scoring.budget import ByteBudget
from cds.scoring.in_process import in_process
from cds.scoring.outcomes import Done, Held, Ready
from cds.scoring.pipeline import STUDY_BYTES
from cds.scoring.stages import StageTimes
from cds.store.store import ScoringJob, Store
from cds.store.tables import ScoringState
from model.domain import RefusedExam, ScoredExam
from model.errors import DeviceBusy, DeviceFault, DeviceLost
from tests.builders import screening_exam
from tests.cds.builders import EHR, MODEL, NOW, PATIENT, Clock, new_exam
from tests.cds.scoring.fakes import FakePrepared, FakeScorer
from tests.fakes import FakeArchive


class Gpu(FakeScorer):
    """A scorer on a GPU with room for so many exams together, which fails for good after so many batches.

    What a try makes on the GPU stays there for as long as somebody refers to it.
    """

    def __init__(self, room: int = 8, good: int = 99, fails: dict[str, Exception] | None = None) -> None:
        super().__init__(batch_exams=8, fails=fails)
        self.room, self.good = room, good
        self._made: weakref.WeakSet[Activations] = weakref.WeakSet()

    def score(self, exams: Sequence[FakePrepared]) -> list[ScoredExam | RefusedExam]:
        if len(self.batches) >= self.good:
            raise DeviceLost("the GPU has failed")
        made = Activations(len(exams))
        self._made.add(made)
        if sum(each.exams for each in self._made) > self.room:
            self.batches.append(len(exams))
            raise DeviceBusy("no memory")
        return super().score(exams)


class Activations:
    """What so many exams take on the GPU."""

    def __init__(self, exams: int) -> None:
        self.exams = exams


def ready(count: int) -> list[Ready]:
    jobs = (ScoringJob(n, EHR, PATIENT, f"1.2.{n}", None, None, None, attempts=1) for n in range(count))
    return [Ready(job, FakePrepared(job.study_uid or "", NOW)) for job in jobs]


def scored(outcomes: Sequence[Done | Held]) -> list[str]:
    """The studies that have a score."""
    return [one.exam.study_uid for one in outcomes if isinstance(one, Done)]


def held(outcomes: Sequence[Done | Held]) -> list[tuple[str | None, str, str]]:
    """The studies that have none, and why."""
    return [(one.job.study_uid, one.fault, one.problem) for one in outcomes if isinstance(one, Held)]


def test_of_a_batch_that_fails_the_exams_are_tried_one_by_one_and_only_the_one_at_fault_is_held() -> None:
    gpu = Gpu(fails={"1.2.2": RuntimeError("MRN-1")})
    scoring = BatchScoring(gpu, StageTimes())

    outcomes = scoring.scored(ready(4))

    assert scored(outcomes) == ["1.2.0", "1.2.1", "1.2.3"]
    assert held(outcomes) == [("1.2.2", "RuntimeError", "an unforeseen fault (RuntimeError)")]
    assert scoring.batch_exams == 8


def test_what_does_not_fit_together_is_tried_in_halves_and_from_then_on_fewer_go_together() -> None:
    gpu = Gpu(room=3)
    scoring = BatchScoring(gpu, StageTimes())

    assert scored(scoring.scored(ready(8))) == [f"1.2.{n}" for n in range(8)]
    assert scoring.batch_exams == 2

    gpu.batches.clear()
    assert len(scored(scoring.scored(ready(5)))) == 5
    assert gpu.batches == [2, 2, 1]


def test_an_exam_finds_free_what_the_failed_try_of_its_batch_had_taken() -> None:
    assert len(scored(BatchScoring(Gpu(room=1), StageTimes()).scored(ready(8)))) == 8


def test_an_exam_that_fits_not_even_alone_is_held_with_what_to_look_at() -> None:
    assert held(BatchScoring(Gpu(room=0), StageTimes()).scored(ready(2))) == [
        ("1.2.0", "DeviceBusy", "no memory"),
        ("1.2.1", "DeviceBusy", "no memory"),
    ]


def test_a_gpu_that_has_failed_holds_no_exam() -> None:
    with pytest.raises(DeviceLost):
        BatchScoring(Gpu(good=0), StageTimes()).scored(ready(3))


def work(store: Store, scorer: FakeScorer) -> None:
    """Have a worker's pipeline score thirty exams until a fault of its device ends it."""
    uids = [f"1.2.{number}" for number in range(30)]
    archive = FakeArchive({uid: screening_exam(uid, rows=8, columns=8) for uid in uids})
    store.register([new_exam(uid) for uid in uids], MODEL.key, NOW)
    line = in_process(store, archive, scorer, MODEL.key, Clock(), ByteBudget(8 * STUDY_BYTES), fetchers=2)
    with pytest.raises(DeviceFault):
        line.run(Event())


def test_a_worker_whose_gpu_fails_ends_and_the_exams_stay_queued_for_the_next_one(store: Store) -> None:
    gpu = Gpu(good=2)
    gpu.batch_exams = 1

    work(store, gpu)

    assert store.count(MODEL.key, ScoringState.SCORED) == 2
    assert store.queued(MODEL.key) == {None: 28}


def test_a_worker_ends_too_where_it_is_a_picture_at_which_its_gpu_fails(store: Store) -> None:
    fails: dict[str, Any] = {f"s1_2_{number}": DeviceLost("the GPU has failed") for number in range(30)}

    work(store, FakeScorer(**fails))

    assert store.queued(MODEL.key) == {None: 30}


def test_a_picture_for_which_the_gpu_has_no_room_holds_its_exam_alone(store: Store) -> None:
    store.register([new_exam("1.2.1"), new_exam("1.2.2")], MODEL.key, NOW)
    archive = FakeArchive({uid: screening_exam(uid, rows=8, columns=8) for uid in ("1.2.1", "1.2.2")})
    scorer = FakeScorer(s1_2_1=DeviceBusy("no memory"))

    in_process(store, archive, scorer, MODEL.key, Clock(), ByteBudget(8 * STUDY_BYTES)).drain(Event(), NOW)

    assert store.queued(MODEL.key) == {"no memory": 1}
    assert store.count(MODEL.key, ScoringState.SCORED) == 1
