"""The time that stages take: nothing of it is lost or counted twice, and the one that limits is named."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.scoring.stages import StageTimes, limiting
from cds.store.stage_times import Spent
from cds.store.tables import Stage
from tests.cds.builders import Clock


class Written:
    """What was handed over, in sum; `fails` as often as it is told to."""

    def __init__(self) -> None:
        self.sum: dict[Stage, Spent] = {}
        self.times, self.fails = 0, 0

    def __call__(self, spent: Mapping[Stage, Spent]) -> None:
        self.times += 1
        if self.fails:
            self.fails -= 1
            raise OSError("the store is away")
        for stage, one in spent.items():
            self.sum[stage] = self.sum.get(stage, Spent()) + one


def take(times: StageTimes, clock: Clock, stage: Stage, seconds: int, exams: int = 1) -> None:
    with times.of(stage, exams):
        clock.advance(timedelta(seconds=seconds))


def test_the_time_of_a_stage_is_that_of_its_block_and_counts_for_all_its_exams() -> None:
    clock, written = Clock(), Written()
    times = StageTimes(clock.monotonic_s)
    take(times, clock, Stage.SCORE, 3, exams=4)
    take(times, clock, Stage.SCORE, 1)
    take(times, clock, Stage.STORE, 2)

    times.write(written)

    assert written.sum == {Stage.SCORE: Spent(4, 5), Stage.STORE: Spent(2, 1)}


def test_a_block_that_fails_is_left_out() -> None:
    clock, written = Clock(), Written()
    times = StageTimes(clock.monotonic_s)
    take(times, clock, Stage.FETCH, 1)

    def fail() -> None:
        with times.of(Stage.FETCH):
            clock.advance(timedelta(minutes=1))
            raise OSError("no answer")

    with pytest.raises(OSError, match="no answer"):
        fail()

    times.write(written)
    assert written.sum == {Stage.FETCH: Spent(1, 1)}


def test_where_nothing_was_done_nothing_is_written() -> None:
    clock, written = Clock(), Written()
    times = StageTimes(clock.monotonic_s)
    times.write(written)
    assert written.times == 0

    take(times, clock, Stage.FETCH, 1)
    times.write(written)
    times.write(written)
    assert written.times == 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(Stage), st.integers(0, 60), st.integers(1, 8)), st.sampled_from(["written", "fails"])
    )
)


@given(steps=STEPS)
def test_whenever_it_is_written_and_whenever_that_fails_each_second_is_written_once(
    steps: list[tuple[Stage, int, int] | str],
) -> None:
    clock, written, due = Clock(), Written(), dict[Stage, Spent]()
    times = StageTimes(clock.monotonic_s)
    for step in steps:
        if isinstance(step, tuple):
            stage, seconds, exams = step
            take(times, clock, stage, seconds, exams)
            due[stage] = due.get(stage, Spent()) + Spent(seconds, exams)
        elif step == "fails" and due != written.sum:
            written.fails = 1
            with pytest.raises(OSError, match="away"):
                times.write(written)
        else:
            times.write(written)

    times.write(written)

    assert written.sum == due


def spent(fetch: float, prepare: float, score: float, store: float) -> dict[Stage, Spent]:
    return {stage: Spent(seconds, 10) for stage, seconds in zip(Stage, (fetch, prepare, score, store), strict=True)}


@pytest.mark.parametrize(
    ("times", "stage"),
    [
        (spent(9, 1, 2, 1), Stage.FETCH),
        (spent(1, 9, 2, 1), Stage.PREPARE),
        (spent(1, 1, 2, 1), Stage.SCORE),
        (spent(1, 1, 2, 9), Stage.STORE),
    ],
)
def test_the_stage_is_named_for_which_the_others_wait(times: dict[Stage, Spent], stage: Stage) -> None:
    assert limiting(times) is stage


def test_of_blocks_that_run_beside_each_other_each_counts_for_its_part() -> None:
    clock, written = Clock(), Written()
    times = StageTimes(clock.monotonic_s)
    for _ in range(4):
        with times.of(Stage.FETCH, lanes=4):
            clock.advance(timedelta(seconds=6))
    take(times, clock, Stage.SCORE, 5)

    assert times.limiting() is Stage.FETCH  # a fourth of 24 s
    take(times, clock, Stage.SCORE, 9)
    assert times.limiting() is Stage.SCORE
    times.write(written)
    assert written.sum == {Stage.FETCH: Spent(6, 4), Stage.SCORE: Spent(14, 2)}


def test_what_limits_is_told_of_all_the_time_also_of_what_was_written_down() -> None:
    clock, written = Clock(), Written()
    times = StageTimes(clock.monotonic_s)
    take(times, clock, Stage.SCORE, 9)
    times.write(written)
    take(times, clock, Stage.STORE, 1)

    assert times.limiting() is Stage.SCORE


def test_where_nothing_was_scored_nothing_limits() -> None:
    assert limiting({stage: Spent() for stage in Stage}) is None
