"""When a process lets a new connection in: not while it has enough to do, when another process may have less.

So whoever came first is answered first, of all who wait at the port that the processes share.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

FEW = 4
"""New calls that keep a process at work; more would be answered no sooner, as one computes at a time."""
NEW_S = 0.1
"""A call that is older waits for somebody: an EHR, or the worker that is making its score."""
COMPUTING = 0.4
"""Of a core. A process that takes less has time for more."""
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

    def lets_in(self, at_work: int, new: int) -> bool:
        """Whether somebody may come in while so many calls are at work, and so many of them are new."""
        if at_work >= self._threads or self.is_held(new):
            return False
        self._open_s = self._clock_s()
        return True

    def is_held(self, new: int) -> bool:
        """Whether it is shut only for now, and to be looked at again soon even if nothing happens."""
        computes = self._computes()
        return new >= FEW and computes and self._clock_s() - self._open_s < LONGEST_SHUT_S

    def _computes(self) -> bool:
        passed_s = self._clock_s() - self._since_s
        if passed_s >= LATELY_S:
            computed_s = self._computed_s()
            self._share = (computed_s - self._computed_before_s) / passed_s
            self._since_s, self._computed_before_s = self._since_s + passed_s, computed_s
        return self._share >= COMPUTING
