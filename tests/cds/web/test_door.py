from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.web.door import COMPUTING, FEW, LATELY_S, LONGEST_SHUT_S, Door

THREADS = 16
TURN_S = 0.004
LONG_S = 10 * LATELY_S


@dataclass
class Process:
    """Its clock, and the time that it has computed."""

    now_s: float = 1000.0
    computed_s: float = 7.0

    def go_on(self, for_s: float, share: float) -> None:
        self.now_s += for_s
        self.computed_s += share * for_s

    def door(self) -> Door:
        return Door(THREADS, lambda: self.now_s, lambda: self.computed_s)


@pytest.fixture
def process() -> Process:
    return Process()


def test_a_process_that_has_just_begun_lets_in_as_many_as_it_has_threads(process: Process) -> None:
    door = process.door()
    assert [door.lets_in(at_work, at_work) for at_work in range(THREADS + 2)] == [True] * THREADS + [False] * 2


def test_a_process_that_computes_leaves_who_is_new_to_another_once_it_has_a_few(process: Process) -> None:
    door = process.door()
    assert door.lets_in(FEW, FEW)
    process.go_on(2 * LATELY_S, share=0.9)
    assert [door.lets_in(at_work, at_work) for at_work in range(FEW)] == [True] * FEW
    assert [door.lets_in(at_work, at_work) for at_work in range(FEW, THREADS + 2)] == [False] * (THREADS + 2 - FEW)


def test_calls_that_wait_for_somebody_keep_nobody_out_but_take_a_thread_each(process: Process) -> None:
    door = process.door()
    process.go_on(2 * LATELY_S, share=0.9)
    assert all(door.lets_in(at_work, FEW - 1) for at_work in range(FEW - 1, THREADS))
    assert not door.lets_in(THREADS, FEW - 1)


def test_a_process_that_waits_lets_in_as_many_as_it_has_threads(process: Process) -> None:
    door = process.door()
    process.go_on(LONG_S, share=COMPUTING / 2)
    assert [door.lets_in(at_work, at_work) for at_work in range(THREADS)] == [True] * THREADS


def test_what_a_process_did_before_it_was_idle_does_not_count(process: Process) -> None:
    door = process.door()
    process.go_on(2 * LATELY_S, share=1.0)
    assert door.lets_in(0, 0)
    assert door.is_held(FEW)
    process.go_on(LONG_S, share=0.0)
    assert not door.is_held(FEW)


def test_whoever_is_new_comes_in_though_those_inside_ask_again_and_again(process: Process) -> None:
    door, let_in_at_s = process.door(), []
    for _ in range(1000):
        process.go_on(TURN_S, share=1.0)
        if door.lets_in(FEW + 1, FEW + 1):
            let_in_at_s.append(process.now_s)
    gaps = [later - earlier for earlier, later in pairwise(let_in_at_s) if later > 1000 + LATELY_S + TURN_S]
    assert len(gaps) > 10
    assert max(gaps) <= LONGEST_SHUT_S + 2 * TURN_S


CALLS = st.integers(0, THREADS + 2)


@given(steps=st.lists(st.tuples(st.floats(0, 0.3), st.floats(0, 2), CALLS, CALLS), min_size=1))
def test_it_is_open_or_full_or_looked_at_again_soon(steps: list[tuple[float, float, int, int]]) -> None:
    process = Process()
    door = process.door()
    for passed_s, share, at_work, new in steps:
        process.go_on(passed_s, share)
        held = door.is_held(new)
        assert door.lets_in(at_work, new) == (at_work < THREADS and not held)
        assert not (held and new < FEW)
