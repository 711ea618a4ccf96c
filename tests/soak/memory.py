"""How much memory a process and those that it has forked hold, over time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import sysconf
from pathlib import Path
from statistics import median
from threading import Event, Thread

EVERY_S = 0.5
ALLOWED_MB, ALLOWED_SHARE = 10.0, 0.05
"""How much more the last quarter may hold than the second, at its median: the larger of the two."""


@dataclass
class Memory:
    """Samples in megabytes, one every half second."""

    samples_mb: list[float] = field(default_factory=list)

    @contextmanager
    def of(self, pid: int) -> Iterator[None]:
        """Take samples of a process while the block runs."""
        over = Event()
        thread = Thread(target=self._watch, args=(pid, over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @property
    def quarters_mb(self) -> tuple[float, ...]:
        """The median of each quarter of the time."""
        count = len(self.samples_mb)
        return tuple(median(self.samples_mb[count * n // 4 : count * (n + 1) // 4]) for n in range(4))

    @property
    def is_flat(self) -> bool:
        """Whether the last quarter holds no more than the second, but for what is allowed."""
        _, second, _, last = self.quarters_mb
        return last <= second + max(ALLOWED_MB, ALLOWED_SHARE * second)

    def _watch(self, pid: int, over: Event) -> None:
        while not over.wait(EVERY_S):
            self.samples_mb.append(sum(map(_resident_mb, _family(pid))))


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * sysconf("SC_PAGE_SIZE") / 2**20
