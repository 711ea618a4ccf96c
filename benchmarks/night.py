"""A night of many full-size exams through the real pipeline, beside each of its stages alone, and its memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.endless_archive import READS_S, SLOW, SLOWEST_S
from benchmarks.pipeline import Alone, Site
from benchmarks.random_model import full_size_model
from benchmarks.timing import Row
from cds.pacs.archives import Archives
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive
from cds.store.tables import Stage
from model.card import DEMO_MODEL
from model.scorer import Scorer

ROUNDS = 3


@dataclass
class Night:
    """What is measured of it; and then what the stages of the full-size network cost, for the capacity model."""

    exams: int = 200
    stages: dict[Stage, Alone] = field(default_factory=dict, init=False)

    def rows(self) -> Iterator[Row]:
        """The published architecture with random weights, whose arithmetic is the real one, and then the demo model."""
        with _archive() as root, full_size_model() as folder:
            with Site(_over_http(root), Scorer(folder, "cpu")) as full:
                measured = full.against_its_stages(exams=8, rounds=ROUNDS)
                yield from measured.rows("full size")
                yield _with_a_slow_archive(full, _over_http(f"{root}/{SLOW}"))
            self.stages = measured.alone()
            with Site(_over_http(root), Scorer(DEMO_MODEL, "cpu")) as demo:
                yield from demo.against_its_stages(exams=40, rounds=ROUNDS).rows("demo model")
                yield _against_one_after_the_other(demo, self.exams)


def _over_http(root: str) -> Archives:
    return Archives([DicomWebArchive(ArchiveRoot(root))])


def _with_a_slow_archive(site: Site, slow: Archives, exams: int = 8) -> Row:
    """The pipeline with an archive that takes its time, and not the same for every study, beside a quicker one."""
    beside, seconds = site.in_the_pipeline(exams), site.in_the_pipeline(exams, archive=slow)
    what = f"full size: the pipeline, an archive that takes up to {SLOWEST_S:.0f} s to begin, in any order, an exam"
    return Row(what, seconds, beside, f"the pipeline, an archive that takes {READS_S} s")


def _against_one_after_the_other(site: Site, exams: int) -> Row:
    """A long night, whose memory is looked at, beside fetch, decode and score in turn."""
    in_turn = site.one_after_the_other(exams // 10)
    memory: list[int] = []
    seconds = site.in_the_pipeline(exams, lambda: memory.append(_resident()))
    what = f"a night of {exams} exams, demo model, an archive that takes {READS_S} s to begin, each"
    return Row(what, seconds, in_turn, "fetch, decode and score in turn", _told(memory))


def _told(memory: Sequence[int]) -> str:
    """The median of each quarter of the night: one that grows would show."""
    ends = [len(memory) * quarter // 4 for quarter in range(5)]
    quarters = [f"{median(memory[first:last]) / 1e6:.0f}" for first, last in pairwise(ends)]
    return f"memory of the process by quarter of the night: {', '.join(quarters)} MB"


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
    for row in Night(*map(int, sys.argv[1:])).rows():
        print(row)
