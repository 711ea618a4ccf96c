"""How much one caller, and all of them together, may ask of one process."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock

from flask import Flask, abort, g, request
from werkzeug.exceptions import ServiceUnavailable, TooManyRequests

from cds.web.trust import verified_ehr

MOST_CALLERS = 10_000
"""Kept in memory; beyond, who has not called for longest is forgotten."""
SPARE_THREADS = 12
"""Answer who asks for little while all others are at work: health, discovery, refusals, pages, launches."""


@dataclass(frozen=True)
class FrontLimits:
    """What is refused before any work, counted by each process for itself.

    `calls_per_minute` may also all come at once. Beside `calls_at_work` as many again wait for `longest_wait_s`.
    """

    largest_request_bytes: int = 16 * 1024 * 1024
    calls_per_minute: int = 6000
    calls_at_work: int = 16
    longest_wait_s: float = 0.5

    @property
    def threads(self) -> int:
        """What a server needs so that no refusal waits behind the calls at work."""
        return 2 * self.calls_at_work + SPARE_THREADS


class CallRate:
    """How often each caller has called lately: the generic cell rate algorithm, one number for each caller."""

    def __init__(self, per_minute: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._between_s = 60 / per_minute
        self._clock_s = clock_s
        self._lock = Lock()
        # When each caller would have called last, had it kept to the rate exactly.
        self._even_s: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, caller: str) -> float:
        """How long the caller must wait before its call is taken; 0 if this one is."""
        with self._lock:
            now_s = self._clock_s()
            even_s = max(self._even_s.get(caller, now_s), now_s) + self._between_s
            # Half a call more: sums of fractions are not exact.
            if even_s - now_s > 60 + self._between_s / 2:
                return even_s - now_s - 60
            self._even_s[caller] = even_s
            self._even_s.move_to_end(caller)
            if len(self._even_s) > MOST_CALLERS:
                self._even_s.popitem(last=False)
            return 0.0


class Places:
    """Room for so many calls at work, and for as many that wait for a place, but not for long.

    Of several `ehrs` none has more than half of it: one that keeps its calls waiting leaves the others theirs.
    """

    def __init__(self, at_work: int, longest_wait_s: float, ehrs: Sequence[str] = ()) -> None:
        self._longest_wait_s = longest_wait_s
        self._inside = BoundedSemaphore(2 * at_work)
        self._at_work = BoundedSemaphore(at_work)
        half = math.ceil(at_work / 2)
        self._of_each = {ehr: Places(half, longest_wait_s) for ehr in ehrs} if len(ehrs) > 1 else {}

    def take(self, ehr: str | None = None) -> bool:
        """Whether there is a place, for a call of this EHR where that is known; who has taken one must leave it."""
        if not self._inside.acquire(blocking=False):
            return False
        own = self._of_each.get(ehr or "")
        if own is None or own.take():
            if self._at_work.acquire(timeout=self._longest_wait_s):
                return True
            if own is not None:
                own.leave()
        self._inside.release()
        return False

    def leave(self, ehr: str | None = None) -> None:
        """Make room for the next."""
        self._at_work.release()
        own = self._of_each.get(ehr or "")
        if own is not None:
            own.leave()
        self._inside.release()

    @contextmanager
    def taken(self, ehr: str | None = None) -> Iterator[None]:
        """A place, as long as it is needed; raises ServiceUnavailable where none gets free in time."""
        if not self.take(ehr):
            raise ServiceUnavailable(retry_after=1)
        try:
            yield
        finally:
            self.leave(ehr)


def register_size(app: Flask, limits: FrontLimits) -> None:
    """Refuse a request that is too large before anything of it is read; the server counts those that come in chunks."""
    app.config["MAX_CONTENT_LENGTH"] = limits.largest_request_bytes

    @app.before_request
    def measure() -> None:
        if (request.content_length or 0) > limits.largest_request_bytes:
            abort(413)


def register_pace(app: Flask, limits: FrontLimits, clock_s: Callable[[], float], ehrs: Sequence[str] = ()) -> None:
    """Refuse callers that ask too often, and calls for which there is no place; after the caller is known."""
    rate = CallRate(limits.calls_per_minute, clock_s)
    places = Places(limits.calls_at_work, limits.longest_wait_s, ehrs)

    @app.before_request
    def count() -> None:
        # An EHR by its token; without tokens, and for discovery, whoever is connected, which may be the site's proxy.
        if request.method != "OPTIONS" and request.blueprint != "health":
            wait_s = rate.wait_s(verified_ehr() or f"at {request.remote_addr}")
            if wait_s:
                raise TooManyRequests(retry_after=math.ceil(wait_s))

    @app.before_request
    def find_a_place() -> None:
        if request.method == "POST":
            if not places.take(verified_ehr()):
                raise ServiceUnavailable(retry_after=1)
            g.has_place = True

    @app.teardown_request
    def make_room(_error: BaseException | None) -> None:
        if g.pop("has_place", False):
            places.leave(verified_ehr())
