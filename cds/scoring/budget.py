"""A bound on the memory of all exams in flight."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

POLL_S = 0.2


class ByteBudget:
    """So many bytes for everybody together, in the order in which they are asked for.

    One that asks for more than all of it gets it when nobody has any.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._taken = 0
        self._line: deque[object] = deque()
        self._freed = threading.Condition()

    @property
    def taken(self) -> int:
        """How much is in use."""
        return self._taken

    @property
    def waiting(self) -> int:
        """How many wait for room."""
        return len(self._line)

    def reserve(self, size: int, is_over: Callable[[], bool]) -> bool:
        """Wait for room and take it; False where it is over before there is any."""
        return self.exchange(0, size, is_over)

    def exchange(self, before: int, size: int, is_over: Callable[[], bool]) -> bool:
        """Give back what was taken, then wait for room for all of `size` and take it; False leaves it with nothing.

        Whoever waits has nothing, so that no two wait for each other.
        """
        me = object()
        with self._freed:
            self._taken -= before
            self._line.append(me)
            try:
                # In turn: a large one would wait for ever while small ones come and go.
                while self._line[0] is not me or (self._taken and self._taken + size > self.total):
                    if is_over():
                        return False
                    self._freed.wait(POLL_S)
                self._taken += size
                return True
            finally:
                self._line.remove(me)
                self._freed.notify_all()

    def change(self, before: int, now: int) -> None:
        """What took `before` bytes takes `now`; without waiting, because it is there already."""
        with self._freed:
            self._taken += now - before
            self._freed.notify_all()
