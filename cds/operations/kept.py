"""A value that is costly to have, kept for a while."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """What `make` gives, made anew when it is asked for and too old. Safe for several threads.

    One thread makes it while the others take the old one; the first time all of them wait.
    """

    def __init__(self, make: Callable[[], T], for_s: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._make, self._for_s, self._clock_s = make, for_s, clock_s
        self._lock = threading.Lock()
        self._held: list[T] = []
        self._made_at_s = -math.inf

    def get(self) -> T:
        """The value; raises what making it raises, and then it is made again at the next call."""
        if self._is_due() and self._lock.acquire(blocking=not self._held):
            try:
                if self._is_due():
                    self._held = [self._make()]
                    self._made_at_s = self._clock_s()
            finally:
                self._lock.release()
        return self._held[0]

    def _is_due(self) -> bool:
        return self._clock_s() - self._made_at_s >= self._for_s
