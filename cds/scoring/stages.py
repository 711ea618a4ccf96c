"""The stages of scoring: how long they take in this process, and which of them all others wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

from cds.store.stage_times import Spent
from cds.store.tables import Stage


class StageTimes:
    """What the stages took, since it was last written down and in all. Safe for several threads.

    Where several exams are in a stage at the same time, each counts for its part: the seconds of a stage are those
    for which it would have kept an otherwise idle worker busy.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = Lock()
        self._gathered: dict[Stage, Spent] = {}
        self._in_all: dict[Stage, Spent] = {}

    @contextmanager
    def of(self, stage: Stage, exams: int = 1, *, lanes: int = 1) -> Iterator[None]:
        """Take the time of a block, of which `lanes` may run at the same time.

        One that fails is left out: how long an archive is silent says nothing of speed.
        """
        began_s = self._clock_s()
        yield
        self.add(stage, Spent((self._clock_s() - began_s) / lanes, exams))

    def add(self, stage: Stage, spent: Spent) -> None:
        """Count what a stage took."""
        with self._lock:
            for sums in (self._gathered, self._in_all):
                sums[stage] = sums.get(stage, Spent()) + spent

    def taken(self) -> dict[Stage, Spent]:
        """What was gathered since the last time."""
        with self._lock:
            gathered, self._gathered = self._gathered, {}
        return gathered

    def write(self, add: Callable[[Mapping[Stage, Spent]], None]) -> None:
        """Hand over what was gathered, if anything; where `add` fails it is kept for the next time."""
        gathered = self.taken()
        if not gathered:
            return
        try:
            add(gathered)
        except Exception:
            with self._lock:
                for stage, spent in gathered.items():
                    self._gathered[stage] = self._gathered.get(stage, Spent()) + spent
            raise

    def limiting(self) -> Stage | None:
        """The stage that made scoring as slow as it was in this process; None where nothing was scored."""
        with self._lock:
            return limiting(self._in_all)


def limiting(spent: Mapping[Stage, Spent]) -> Stage | None:
    """The stage that makes scoring as slow as it is, which is the busiest; None where nothing was scored."""
    busiest = max(spent, key=lambda stage: spent[stage].seconds, default=None)
    return busiest if busiest is not None and spent[busiest].seconds else None
