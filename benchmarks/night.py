"""A night of many full-size exams through the real pipeline: exams an hour, and whether memory stays where it is."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from threading import Event

from benchmarks.endless_archive import READS_S
from benchmarks.timing import Row
from cds.pacs.archives import Archives
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive
from cds.scoring.budget import ByteBudget
from cds.scoring.pipeline import ScoringPipeline
from cds.scoring.worker import Worker
from cds.store.database import open_database
from cds.store.store import NewExam, Store
from cds.store.tables import ScoringState
from model.card import DEMO_MODEL
from model.scorer import Scorer

EXAMS = 200
BUDGET = 1 << 30


def rows(exams: int = EXAMS) -> Iterator[Row]:
    """The same queue scored by one thread after the other, and by the pipeline, which fetches meanwhile."""
    with _archive() as root, tempfile.TemporaryDirectory() as folder:
        store = Store(open_database(f"sqlite:///{Path(folder) / 'night.sqlite'}"))
        scorer = Scorer(DEMO_MODEL, "cpu")
        archive = Archives([DicomWebArchive(ArchiveRoot(root))])
        worker = Worker(store, archive, scorer, scorer.card.version.key, _now, check_patient_id=False)
        in_turn = _seconds_in_turn(worker, store, scorer, exams // 10)
        _queue(store, scorer, "2", exams)
        memory: list[int] = []
        started = time.perf_counter()
        ScoringPipeline(worker, ByteBudget(BUDGET)).drain(Event(), _now(), on_done=lambda: memory.append(_resident()))
        seconds = (time.perf_counter() - started) / exams
        if store.count(scorer.card.version.key, ScoringState.SCORED) != exams + exams // 10:
            raise AssertionError("not every exam of the benchmark was scored")
        yield Row(
            f"a night of {exams} exams of 68 MB from an archive that takes {READS_S} s to begin, demo model, each",
            seconds,
            in_turn,
            "fetch, decode and score in turn",
            _told(memory),
        )


def _told(memory: list[int]) -> str:
    """The median of each quarter of the night: one that grows would show."""
    ends = [len(memory) * quarter // 4 for quarter in range(5)]
    quarters = [f"{median(memory[first:last]) / 1e6:.0f}" for first, last in pairwise(ends)]
    return f"memory of the process by quarter of the night: {', '.join(quarters)} MB"


def _seconds_in_turn(worker: Worker, store: Store, scorer: Scorer, exams: int) -> float:
    _queue(store, scorer, "1", exams)
    started = time.perf_counter()
    while worker.score_next():
        pass
    return (time.perf_counter() - started) / exams


def _queue(store: Store, scorer: Scorer, branch: str, exams: int) -> None:
    uids = [f"1.2.{branch}.{number}" for number in range(1, exams + 1)]
    news = [NewExam("bench", uid, uid, uid) for uid in uids]
    store.register(news, scorer.card.version.key, _now())


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
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else EXAMS):
        print(row)
