"""How long a caller's keys are kept, and when they are read again."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, as_completed, wait
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.errors import CallerKeysUnread
from cds.trust.key_set import PublicKey
from cds.trust.keys import MOST_WAITING, CallerKeys, Freshness
from tests.cds.builders import Clock
from tests.cds.trust.callers import EC, RSA

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
TICK = timedelta(milliseconds=1)


class Source:
    """A key set that changes, fails, counts how often it is read, and can keep its readers waiting."""

    def __init__(self, **keys: PublicKey) -> None:
        self.keys: Mapping[str, PublicKey] = keys
        self.fails = False
        self.reads = 0
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def __call__(self) -> Mapping[str, PublicKey]:
        """The keys as they are now."""
        self.reads += 1
        self.begun.set()
        assert self.may_end.wait(30)
        if self.fails:
            raise CallerKeysUnread("the key set at https://ehr.example:443 cannot be fetched")
        return self.keys


@pytest.fixture
def source() -> Source:
    return Source(a=EC)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(source: Source, clock: Clock) -> CallerKeys:
    return CallerKeys(source, clock_s=clock.monotonic_s)


def test_nothing_is_read_before_a_key_is_asked_for(keys: CallerKeys, source: Source) -> None:
    assert source.reads == 0
    assert keys.key("a") is EC
    assert source.reads == 1


def test_keys_are_kept_for_their_time_and_then_read_again(keys: CallerKeys, source: Source, clock: Clock) -> None:
    keys.key("a")
    source.keys = {"a": RSA}
    clock.advance(HOUR - TICK)
    assert keys.key("a") is EC

    clock.advance(TICK)
    assert keys.key("a") is RSA
    assert source.reads == 2


def test_S9_a_new_key_is_found_at_once_and_one_that_is_gone_is_no_longer_taken(
    keys: CallerKeys, source: Source, clock: Clock
) -> None:
    keys.key("a")
    source.keys = {"b": RSA}
    clock.advance(MINUTE)

    assert keys.key("b") is RSA
    assert keys.key("a") is None


def test_S9_unknown_keys_have_the_set_read_once_a_minute(keys: CallerKeys, source: Source, clock: Clock) -> None:
    for number in range(50):
        assert keys.key(f"forged-{number}") is None
        clock.advance(MINUTE / 25 - TICK)
    assert source.reads == 2
    assert keys.key("a") is EC


@given(waits_s=st.lists(st.integers(0, 7200), max_size=30), forged=st.lists(st.booleans(), min_size=30, max_size=30))
def test_whatever_is_asked_for_reads_are_a_minute_apart(waits_s: list[int], forged: list[bool]) -> None:
    clock, read_at = Clock(), []

    def read() -> Mapping[str, PublicKey]:
        read_at.append(clock.monotonic_s())
        return {"a": EC}

    keys = CallerKeys(read, clock_s=clock.monotonic_s)
    for wait_s, is_forged in zip(waits_s, forged, strict=False):
        clock.sleep(wait_s)
        assert keys.key("forged" if is_forged else "a") is (None if is_forged else EC)
        assert clock.monotonic_s() - read_at[-1] < 3600
    assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(read_at))


def test_while_the_set_cannot_be_read_its_keys_are_good_for_a_day(
    keys: CallerKeys, source: Source, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    keys.key("a")
    source.fails = True
    clock.advance(DAY - TICK)
    assert keys.key("a") is EC
    assert caplog.messages == ["the key set at https://ehr.example:443 cannot be fetched"]

    clock.advance(TICK)
    with pytest.raises(CallerKeysUnread, match="tried again"):
        keys.key("a")

    source.fails = False
    clock.advance(MINUTE)
    assert keys.key("a") is EC
    assert keys.key("b") is None


def test_a_key_that_is_unknown_is_told_from_a_set_that_cannot_be_read(
    keys: CallerKeys, source: Source, clock: Clock
) -> None:
    assert keys.key("b") is None
    source.fails = True
    clock.advance(MINUTE)

    for _ in range(2):
        with pytest.raises(CallerKeysUnread):
            keys.key("b")
    assert keys.key("a") is EC
    assert source.reads == 2


def test_a_set_that_fails_at_first_is_tried_again_after_the_pause(
    keys: CallerKeys, source: Source, clock: Clock
) -> None:
    source.fails = True
    with pytest.raises(CallerKeysUnread):
        keys.key("a")
    source.fails = False
    clock.advance(MINUTE - TICK)
    with pytest.raises(CallerKeysUnread):
        keys.key("a")

    clock.advance(TICK)
    assert keys.key("a") is EC


def test_the_times_are_the_sites_own(source: Source, clock: Clock) -> None:
    keys = CallerKeys(source, Freshness(renewed_after_s=10, given_up_after_s=20, pause_s=1), clock.monotonic_s)
    keys.key("a")
    source.fails = True
    clock.sleep(19)
    assert keys.key("a") is EC
    assert source.reads == 2

    clock.sleep(1)
    with pytest.raises(CallerKeysUnread):
        keys.key("a")
    assert source.reads == 3


def test_some_who_ask_at_first_wait_for_one_reading(keys: CallerKeys, source: Source) -> None:
    source.may_end.clear()
    with ThreadPoolExecutor(MOST_WAITING) as threads:
        asked = [threads.submit(keys.key, "a") for _ in range(MOST_WAITING)]
        assert source.begun.wait(30)
        answered, _ = wait(asked, timeout=0.1, return_when=FIRST_COMPLETED)
        source.may_end.set()

        assert not answered
        assert [one.result(30) for one in asked] == [EC] * MOST_WAITING
    assert source.reads == 1


@pytest.mark.parametrize("key_id", ["a", "forged"])
def test_more_than_some_do_not_wait_for_keys_that_are_being_read(keys: CallerKeys, source: Source, key_id: str) -> None:
    source.may_end.clear()
    many = 1 + MOST_WAITING + 12
    with ThreadPoolExecutor(many) as threads:
        asked = [threads.submit(keys.key, key_id) for _ in range(many)]
        told = list(itertools.islice(as_completed(asked, timeout=30), 12))
        source.may_end.set()

        assert all(isinstance(one.exception(), CallerKeysUnread) for one in told)
        assert [one.result(30) for one in asked if one not in told] == [EC if key_id == "a" else None] * (
            1 + MOST_WAITING
        )
    assert source.reads == 1


def test_who_has_waited_for_keys_makes_room_for_another(keys: CallerKeys, source: Source, clock: Clock) -> None:
    for key_id in ("a", "forged"):
        source.begun.clear()
        source.may_end.clear()
        with ThreadPoolExecutor(1 + MOST_WAITING) as threads:
            asked = [threads.submit(keys.key, key_id) for _ in range(1 + MOST_WAITING)]
            assert source.begun.wait(30)
            source.may_end.set()
            assert all(one.exception(30) is None for one in asked)
        clock.advance(MINUTE)


def test_who_has_the_key_does_not_wait_while_another_reads_the_set_again(
    keys: CallerKeys, source: Source, clock: Clock
) -> None:
    keys.key("a")
    clock.advance(HOUR)
    source.begun.clear()
    source.may_end.clear()
    with ThreadPoolExecutor(2) as threads:
        renewing = threads.submit(keys.key, "a")
        assert source.begun.wait(30)
        meanwhile = threads.submit(keys.key, "a")
        answered, _ = wait([meanwhile], timeout=10)
        source.may_end.set()

        assert answered
        assert meanwhile.result() is renewing.result(30) is EC
    assert source.reads == 2
