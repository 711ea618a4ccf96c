"""The public keys of one caller, kept for a while, and read again when it may have changed them."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cds.errors import CallerKeysUnread
from cds.trust.key_set import PublicKey

log = logging.getLogger(__name__)

MOST_WAITING = 8
"""Calls that wait for one reading of the keys; each keeps a thread, and a forged call may name any key."""


@dataclass(frozen=True)
class Freshness:
    """How long keys are taken for the caller's (`renewed_after_s`), and how long still where they cannot be renewed.

    They are not read more often than every `pause_s`, whatever is asked for: a forged token may name any key.
    """

    renewed_after_s: float = 3600.0
    given_up_after_s: float = 86_400.0
    pause_s: float = 60.0


@dataclass(frozen=True)
class _Held:
    keys: Mapping[str, PublicKey]
    read_at_s: float


class CallerKeys:
    """The keys that `read` gives, each by its `kid`. Safe for several threads, of which one at a time reads."""

    def __init__(
        self,
        read: Callable[[], Mapping[str, PublicKey]],
        freshness: Freshness | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._freshness = freshness or Freshness()
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._held = _Held({}, -math.inf)
        self._tried_at_s = -math.inf
        self._could_read = True

    def key(self, key_id: str) -> PublicKey | None:
        """The key of this `kid`, or None if the caller has no such key; CallerKeysUnread where that cannot be told."""
        if self._is_due(key_id) and self._has_turn(key_id):
            try:
                if self._is_due(key_id):
                    self._renew()
            finally:
                self._lock.release()
        key = self._known(key_id)
        if key is None and not self._could_read:
            raise CallerKeysUnread("the caller's public keys could not be read; the log says why, it is tried again")
        return key

    def _has_turn(self, key_id: str) -> bool:
        """Whether this thread may renew the set. Who has the key goes on with it while another thread does.

        Of those who have not a few wait for that; the others are told to come again (CallerKeysUnread).
        """
        if self._lock.acquire(blocking=False):
            return True
        if self._known(key_id) is not None:
            return False
        if not self._waiting.acquire(blocking=False):
            raise CallerKeysUnread("the caller's public keys are being read, and enough calls wait for them")
        try:
            return self._lock.acquire()
        finally:
            self._waiting.release()

    def _is_due(self, key_id: str) -> bool:
        now_s, held = self._clock_s(), self._held
        is_old = now_s - held.read_at_s >= self._freshness.renewed_after_s
        return (is_old or key_id not in held.keys) and now_s - self._tried_at_s >= self._freshness.pause_s

    def _known(self, key_id: str) -> PublicKey | None:
        held = self._held
        is_too_old = self._clock_s() - held.read_at_s >= self._freshness.given_up_after_s
        return None if is_too_old else held.keys.get(key_id)

    def _renew(self) -> None:
        try:
            self._held = _Held(self._read(), self._clock_s())
            self._could_read = True
        except CallerKeysUnread as error:
            self._could_read = False
            log.warning("%s", error)
        # Only now, so that who has no key to go on with waits for this attempt instead of being told that it was made.
        self._tried_at_s = self._clock_s()
