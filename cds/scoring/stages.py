"""The stages of scoring: how long they take in this process, and which of them all others wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

from cds.store.stage_times import Spent
from cds.store.tables import Stage

FETCHERS = 2
"""Threads of a worker that fetch and prepare, beside the one that scores and stores."""
_SIDES = ((FETCHERS, (Stage.FETCH, Stage.PREPARE)), (1, (Stage.SCORE, Stage.STORE)))


class StageTimes:
    """What the stages took since it was last written down. Safe for several threads."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = Lock()
        self._gathered: dict[Stage, Spent] = {}

    @contextmanager
    def of(self, stage: Stage, exams: int = 1) -> Iterator[None]:
        """Take the time of a block. One that fails is left out: how long an archive is silent says nothing of speed."""
        began_s = self._clock_s()
        yield
        self._add(stage, Spent(self._clock_s() - began_s, exams))

    def write(self, add: Callable[[Mapping[Stage, Spent]], None]) -> None:
        """Hand over what was gathered, if anything; where `add` fails it is kept for the next time."""
        with self._lock:
            gathered, self._gathered = self._gathered, {}
        if not gathered:
            return
        try:
            add(gathered)
        except Exception:
            for stage, spent in gathered.items():
                self._add(stage, spent)
            raise

    def _add(self, stage: Stage, spent: Spent) -> None:
        with self._lock:
            self._gathered[stage] = self._gathered.get(stage, Spent()) + spent


def limiting(spent: Mapping[Stage, Spent]) -> Stage | None:
    """The stage that makes scoring as slow as it is; None where nothing was scored.

    Each side of the pipeline works while the other does: the one whose threads were busier holds up the other, and
    in it the stage that took longest.
    """
    if not any(one.seconds for one in spent.values()):
        return None
    _, stages = max(_SIDES, key=lambda side: sum(spent[stage].seconds for stage in side[1]) / side[0])
    return max(stages, key=lambda stage: spent[stage].seconds)
