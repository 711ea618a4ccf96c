"""A bound on the memory of all exams in flight."""

from __future__ import annotations

import threading
from collections.abc import Callable

POLL_S = 0.2


class ByteBudget:
    """So many bytes for everybody together. One that asks for more than all of it gets it when nobody has any."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._taken = 0
        self._freed = threading.Condition()

    @property
    def taken(self) -> int:
        """How much is in use."""
        return self._taken

    def reserve(self, size: int, is_over: Callable[[], bool]) -> bool:
        """Wait for room and take it; False where it is over before there is any."""
        with self._freed:
            while self._taken and self._taken + size > self.total:
                if is_over():
                    return False
                self._freed.wait(POLL_S)
            self._taken += size
            return True

    def change(self, before: int, now: int) -> None:
        """What took `before` bytes takes `now`; without waiting, because it is there already."""
        with self._freed:
            self._taken += now - before
            self._freed.notify_all()
