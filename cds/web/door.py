"""When a process lets a new connection in: not while it has enough to do, when another process may have less.

So whoever came first is answered first, of all who wait at the port that the processes share.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

FEW = 4
"""Calls that keep a process at work; more inside would be answered no sooner, as one computes at a time."""
COMPUTING = 0.4
"""Of a core. A process that takes less waits, for an EHR or the database, and has time for more."""
LATELY_S = 0.05
"""Over which that is measured."""
LONGEST_SHUT_S = 0.2
"""Connections that are kept ask again and again, and may keep a process at work for ever: then who is new comes in."""


class Door:
    """One process's, for its loop of connections."""

    def __init__(
        self,
        threads: int,
        clock_s: Callable[[], float] = time.monotonic,
        computed_s: Callable[[], float] = time.process_time,
    ) -> None:
        self._threads, self._clock_s, self._computed_s = threads, clock_s, computed_s
        self._open_s, self._share = -math.inf, 0.0
        self._since_s, self._computed_before_s = clock_s(), computed_s()

    def lets_in(self, at_work: int) -> bool:
        """Whether somebody may come in while so many calls are at work."""
        if at_work >= self._threads or self.is_held(at_work):
            return False
        self._open_s = self._clock_s()
        return True

    def is_held(self, at_work: int) -> bool:
        """Whether it is shut only for now, and to be looked at again soon even if nothing happens."""
        computes = self._computes()
        return FEW <= at_work < self._threads and computes and self._clock_s() - self._open_s < LONGEST_SHUT_S

    def _computes(self) -> bool:
        passed_s = self._clock_s() - self._since_s
        if passed_s >= LATELY_S:
            computed_s = self._computed_s()
            self._share = (computed_s - self._computed_before_s) / passed_s
            self._since_s, self._computed_before_s = self._since_s + passed_s, computed_s
        return self._share >= COMPUTING
