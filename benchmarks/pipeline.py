"""The pipeline as a worker has it, over an archive of the benchmark, beside each of its stages alone."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from threading import Event
from typing import Self

from pydicom import Dataset

from benchmarks.studies import study_uid
from benchmarks.timing import Row
from cds.pacs.archive import ImageArchive
from cds.scoring.budget import ByteBudget
from cds.scoring.in_process import in_process, preparers
from cds.scoring.pipeline import FETCHERS
from cds.store.database import open_database
from cds.store.store import NewExam, Store
from cds.store.tables import ScoringState, Stage
from model.domain import RefusedExam, ScoredExam
from model.prepared import PreparedExam
from model.scorer import Scorer

BUDGET = 2 << 30
"""Bytes in flight: what a worker has unless its site says otherwise."""
EXAM_BYTES = 4 * 3328 * 2560 * 2
"""Of an exam of the benchmarks that is not compressed."""
LEASE = timedelta(hours=1)


@dataclass(frozen=True)
class Alone:
    """What a stage takes for an exam while nothing else goes on: on the clock, and of this process's cores."""

    alone_s: float
    core_s: float


@dataclass(frozen=True)
class Measured:
    """A stage of each round by itself, and the pipeline of the same round: a busy machine is busy for both."""

    rounds: Sequence[tuple[Mapping[Stage, Alone], float]]
    exam_bytes: int
    """Of the images of an exam, as the archive has them."""

    def alone(self) -> dict[Stage, Alone]:
        """Medians of the stages."""
        return {
            stage: Alone(
                median(stages[stage].alone_s for stages, _ in self.rounds),
                median(stages[stage].core_s for stages, _ in self.rounds),
            )
            for stage in Stage
        }

    def rows(self, name: str) -> list[Row]:
        """One for each stage, and the pipeline beside the slowest of them."""
        alone = self.alone()
        slowest = max(alone, key=lambda stage: alone[stage].alone_s)
        share = median(stages[slowest].alone_s / seconds for stages, seconds in self.rounds)
        busy = sum(one.core_s for one in alone.values()) / (os.cpu_count() or 1)
        pipeline = Row(
            f"{name}: the pipeline, an exam",
            median(seconds for _, seconds in self.rounds),
            alone[slowest].alone_s,
            f"its slowest stage alone, {slowest}",
            f"{100 * share:.0f} % of that rate; all stages' work on every core would take {1000 * busy:.0f} ms",
        )
        return [*(self._stage_row(name, stage, one) for stage, one in alone.items()), pipeline]

    def _stage_row(self, name: str, stage: Stage, one: Alone) -> Row:
        used = f"{1000 * one.core_s:.0f} ms of processor"
        return Row(f"{name}: {stage} alone, an exam of {self.exam_bytes / 1e6:.2g} MB", one.alone_s, remark=used)


class Site:
    """A store, an archive and a scorer, put together as the worker does it; the store is gone afterwards."""

    def __init__(
        self, archive: ImageArchive, scorer: Scorer, *, fetchers: int = FETCHERS, budget_bytes: int = BUDGET
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._database = open_database(f"sqlite:///{Path(self._folder.name) / 'night.sqlite'}")
        self.store = Store(self._database)
        self.archive, self.scorer = archive, scorer
        self._fetchers, self._budget_bytes = fetchers, budget_bytes
        self.model = scorer.card.version.key
        self._queued = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._database.dispose()
        self._folder.cleanup()

    def against_its_stages(self, exams: int, rounds: int) -> Measured:
        """The pipeline and its stages, in turn several times."""
        self.in_the_pipeline(self.scorer.batch_exams)
        measured = [(self._stages_alone(exams // 2), self.in_the_pipeline(exams)) for _ in range(rounds)]
        return Measured(measured, sum(len(image.PixelData) for image in self._fetched(0)))

    def in_the_pipeline(
        self, exams: int, on_done: Callable[[], None] = lambda: None, archive: ImageArchive | None = None
    ) -> float:
        """Seconds an exam."""
        before = self._scored()
        self._queue(exams)
        line = in_process(
            self.store,
            archive or self.archive,
            self.scorer,
            self.model,
            _now,
            ByteBudget(self._budget_bytes),
            check_patient_id=False,
            fetchers=self._fetchers,
        )
        began_s = time.perf_counter()
        line.drain(Event(), _now(), on_done=on_done)
        seconds = (time.perf_counter() - began_s) / exams
        if self._scored() != before + exams:
            raise AssertionError("not every exam of the benchmark was scored")
        return seconds

    def one_after_the_other(self, exams: int) -> float:
        """Seconds an exam of fetching, preparing and scoring in turn, which is the plain way."""
        began_s = time.perf_counter()
        for number in range(exams):
            self.scorer.score([self._prepared(self._fetched(number))])
        return (time.perf_counter() - began_s) / exams

    def _stages_alone(self, exams: int) -> dict[Stage, Alone]:
        """Each with as many threads, and as many exams together, as it has in the pipeline."""
        studies = [self._fetched(number) for number in range(preparers())]
        together = [self._prepared(studies[0])] * self.scorer.batch_exams
        scored, *_ = self.scorer.score(together)
        return {
            Stage.FETCH: alone(self._fetched, 2 * max(exams, self._fetchers), self._fetchers),
            Stage.PREPARE: self._preparing(studies, max(exams, 2 * len(studies))),
            Stage.SCORE: alone(
                lambda _: self.scorer.score(together), max(2, exams // len(together)), exams_each=len(together)
            ),
            Stage.STORE: self._storing(scored, exams),
        }

    def _preparing(self, studies: Sequence[Sequence[Dataset]], exams: int) -> Alone:
        """A thread for each study, because a Dataset is for one at a time."""
        free: SimpleQueue[Sequence[Dataset]] = SimpleQueue()
        for images in studies:
            free.put(images)

        def prepare(_number: int) -> None:
            images = free.get()
            self._prepared(images)
            free.put(images)

        return alone(prepare, exams, len(studies))

    def _storing(self, exam: ScoredExam | RefusedExam, exams: int) -> Alone:
        self._queue(exams + 1)
        jobs = [self.store.claim(self.model, _now(), LEASE) for _ in range(exams + 1)]

        def save(_number: int) -> None:
            job = jobs.pop()
            if job is None or not isinstance(exam, ScoredExam):
                raise AssertionError("there is nothing to store")
            self.store.save_score(job, replace(exam, study_uid=job.study_uid or ""))

        return alone(save, exams)

    def _fetched(self, number: int) -> list[Dataset]:
        return self.archive.retrieve_study(study_uid(number))

    def _prepared(self, images: Sequence[Dataset]) -> PreparedExam:
        exam = self.scorer.prepare(images, at=_now())
        if isinstance(exam, RefusedExam):
            raise AssertionError("the exam of the benchmark is refused")
        return exam

    def _queue(self, exams: int) -> None:
        uids = [study_uid(self._queued + number) for number in range(exams)]
        self._queued += exams
        self.store.register([NewExam("bench", uid, uid, uid) for uid in uids], self.model, _now())

    def _scored(self) -> int:
        return self.store.count(self.model, ScoringState.SCORED)


def alone(work: Callable[[int], object], times: int, threads: int = 1, *, exams_each: int = 1) -> Alone:
    """Work of so many exams at a time, after one time that does not count; nothing of it is kept."""

    def done(number: int) -> None:
        work(number)

    done(0)
    began_s, cores_s = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(done, range(times)))
    exams = times * exams_each
    return Alone((time.perf_counter() - began_s) / exams, (time.process_time() - cores_s) / exams)


def _now() -> datetime:
    return datetime.now(UTC)
