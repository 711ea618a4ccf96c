"""A night of many full-size exams through the real pipeline, beside each of its stages alone, and its memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from threading import Event

import torch
from pydicom import Dataset

from benchmarks.decoding import SYNTAXES
from benchmarks.endless_archive import READS_S, SLOW, SLOWEST_S, study_uid
from benchmarks.scoring import full_size_model
from benchmarks.timing import Row
from cds.pacs.archives import Archives
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive
from cds.scoring.budget import ByteBudget
from cds.scoring.in_process import in_process
from cds.scoring.pipeline import FETCHERS
from cds.store.database import open_database
from cds.store.store import NewExam, Store
from cds.store.tables import ScoringState, Stage
from model.card import DEMO_MODEL
from model.domain import RefusedExam, ScoredExam
from model.prepared import PreparedExam
from model.scorer import Scorer

ROUNDS = 3
BUDGET = 2 << 30
EXAM_BYTES = 4 * 3328 * 2560 * 2
LEASE = timedelta(hours=1)


@dataclass(frozen=True)
class Alone:
    """What a stage takes for an exam while nothing else goes on: on the clock, and of this process's cores."""

    alone_s: float
    core_s: float


@dataclass(frozen=True)
class Night:
    """The table's rows, and what the stages of the full-size network cost, for the capacity model."""

    rows: list[Row] = field(default_factory=list)
    stages: dict[Stage, Alone] = field(default_factory=dict)


def measured(long_night: int = 200) -> Night:
    """The published architecture with random weights, whose arithmetic is the real one, and then the demo model."""
    night = Night()
    with _archive() as root, full_size_model() as folder:
        full = _Site(root, folder)
        night.stages.update(full.against_its_stages("full size", night.rows, exams=8))
        night.rows.append(full.with_a_slow_archive("full size", exams=8))
        demo = _Site(root, DEMO_MODEL)
        demo.against_its_stages("demo model", night.rows, exams=40)
        night.rows.append(demo.against_one_after_the_other(long_night))
        if torch.cuda.is_available():
            for syntax in SYNTAXES:
                if syntax.is_deflated:
                    continue  # whole files are, and nobody stores them so
                on_gpu = _Site(f"{root}/{syntax}", folder, "cuda")
                on_gpu.against_its_stages(f"GPU, {syntax.name}", night.rows, exams=64)
    return night


class _Site:
    """A store, the archive and a scorer, put together as the worker does it."""

    def __init__(self, root: str, model: Path, device: str = "cpu") -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.store = Store(open_database(f"sqlite:///{Path(self._folder.name) / 'night.sqlite'}"))
        self.scorer = Scorer(model, device)
        self.archive, self.slow_archive = (
            Archives([DicomWebArchive(ArchiveRoot(url))]) for url in (root, f"{root}/{SLOW}")
        )
        self.model = self.scorer.card.version.key
        self._queued = 0

    def against_its_stages(self, name: str, rows: list[Row], exams: int) -> dict[Stage, Alone]:
        """The pipeline beside the rate of its slowest stage, in turn several times; what each stage takes alone."""
        self._in_the_pipeline(1)
        rounds = [(self._stages_alone(exams // 2), self._in_the_pipeline(exams)) for _ in range(ROUNDS)]
        alone = {
            stage: Alone(
                median(stages[stage].alone_s for stages, _ in rounds),
                median(stages[stage].core_s for stages, _ in rounds),
            )
            for stage in Stage
        }
        for stage, one in alone.items():
            used = f"{1000 * one.core_s:.0f} ms of processor"
            rows.append(Row(f"{name}: {stage} alone, an exam of {EXAM_BYTES / 1e6:.0f} MB", one.alone_s, remark=used))
        rows.append(_beside(name, rounds))
        return alone

    def against_one_after_the_other(self, exams: int) -> Row:
        """A long night, whose memory is looked at, beside fetch, decode and score in turn."""
        began_s = time.perf_counter()
        for number in range(exams // 10):
            self.scorer.score([self._prepared(self._fetched(number))])
        in_turn = (time.perf_counter() - began_s) / (exams // 10)
        memory: list[int] = []
        seconds = self._in_the_pipeline(exams, lambda: memory.append(_resident()))
        what = f"a night of {exams} exams, demo model, an archive that takes {READS_S} s to begin, each"
        return Row(what, seconds, in_turn, "fetch, decode and score in turn", _told(memory))

    def with_a_slow_archive(self, name: str, exams: int) -> Row:
        """The pipeline with an archive that takes its time, and not the same for every study, beside a quicker one."""
        quick, slow = self._in_the_pipeline(exams), self._in_the_pipeline(exams, archive=self.slow_archive)
        what = f"{name}: the pipeline, an archive that takes up to {SLOWEST_S:.0f} s to begin, in any order, an exam"
        return Row(what, slow, quick, f"the pipeline, an archive that takes {READS_S} s")

    def _in_the_pipeline(
        self, exams: int, on_done: Callable[[], None] = lambda: None, archive: Archives | None = None
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
            ByteBudget(BUDGET),
            check_patient_id=False,
        )
        began_s = time.perf_counter()
        line.drain(Event(), _now(), on_done=on_done)
        seconds = (time.perf_counter() - began_s) / exams
        if self._scored() != before + exams:
            raise AssertionError("not every exam of the benchmark was scored")
        return seconds

    def _stages_alone(self, exams: int) -> dict[Stage, Alone]:
        """Each with as many threads as it has in the pipeline."""
        images = self._fetched(0)
        prepared = self._prepared(images)
        (scored,) = self.scorer.score([prepared])
        return {
            Stage.FETCH: _alone(self._fetched, 2 * max(exams, FETCHERS), FETCHERS),
            Stage.PREPARE: _alone(lambda _: self._prepared(images), exams),
            Stage.SCORE: _alone(lambda _: self.scorer.score([prepared]), exams),
            Stage.STORE: self._storing(scored, exams),
        }

    def _storing(self, exam: ScoredExam | RefusedExam, exams: int) -> Alone:
        self._queue(exams)
        jobs = [self.store.claim(self.model, _now(), LEASE) for _ in range(exams)]

        def save(number: int) -> None:
            job = jobs[number]
            if job is None or not isinstance(exam, ScoredExam):
                raise AssertionError("there is nothing to store")
            self.store.save_score(job, replace(exam, study_uid=job.study_uid or ""))

        return _alone(save, exams)

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


def _alone(work: Callable[[int], object], exams: int, threads: int = 1) -> Alone:
    def done(number: int) -> None:
        work(number)  # and nothing of it is kept

    done(0)
    began_s, cores_s = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(done, range(exams)))
    return Alone((time.perf_counter() - began_s) / exams, (time.process_time() - cores_s) / exams)


def _beside(name: str, rounds: Sequence[tuple[Mapping[Stage, Alone], float]]) -> Row:
    """The pipeline and its slowest stage, from the same rounds: a busy machine is busy for both."""
    alone = {stage: median(stages[stage].alone_s for stages, _ in rounds) for stage in Stage}
    slowest = max(alone, key=alone.__getitem__)
    share = median(stages[slowest].alone_s / seconds for stages, seconds in rounds)
    busy = sum(median(stages[stage].core_s for stages, _ in rounds) for stage in Stage) / (os.cpu_count() or 1)
    return Row(
        f"{name}: the pipeline, an exam",
        median(seconds for _, seconds in rounds),
        alone[slowest],
        f"its slowest stage alone, {slowest}",
        f"{100 * share:.0f} % of that rate; all stages' work on every core would take {1000 * busy:.0f} ms",
    )


def _told(memory: Sequence[int]) -> str:
    """The median of each quarter of the night: one that grows would show."""
    ends = [len(memory) * quarter // 4 for quarter in range(5)]
    quarters = [f"{median(memory[first:last]) / 1e6:.0f}" for first, last in pairwise(ends)]
    return f"memory of the process by quarter of the night: {', '.join(quarters)} MB"


def _now() -> datetime:
    return datetime.now(UTC)


def _resident() -> int:
    """Bytes of memory that the process holds now; the kernel's own line, where it has one."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


@contextmanager
def _archive() -> Iterator[str]:
    """An archive in a process of its own: its memory is not ours."""
    command = [sys.executable, "-m", "benchmarks.endless_archive"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        if process.stdout is None or process.stdin is None:
            raise AssertionError("the archive has no pipes")
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


if __name__ == "__main__":
    for row in measured(*map(int, sys.argv[1:])).rows:
        print(row)
