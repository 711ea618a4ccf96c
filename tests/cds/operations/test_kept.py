"""What is costly to have is had again only when it is old."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Event

import pytest

from cds.operations.kept import Kept
from tests.cds.builders import Clock

FOR_S = 60.0


def counting() -> tuple[list[int], Callable[[], int]]:
    """What was made so far, and what makes the next number."""
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return made[-1]

    return made, make


def test_it_is_made_anew_only_when_it_is_old() -> None:
    clock, (made, make) = Clock(), counting()
    kept = Kept(make, FOR_S, clock.monotonic_s)

    assert made == []
    assert (kept.get(), kept.get()) == (0, 0)
    clock.advance(timedelta(seconds=FOR_S - 1))
    assert kept.get() == 0
    clock.advance(timedelta(seconds=1))
    assert (kept.get(), kept.get()) == (1, 1)


def test_what_could_not_be_made_is_tried_again_at_the_next_call() -> None:
    answers: Iterator[OSError | int] = iter([OSError("down"), 7])

    def make() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    kept = Kept(make, FOR_S, Clock().monotonic_s)

    with pytest.raises(OSError, match="down"):
        kept.get()
    assert kept.get() == 7


def test_many_that_ask_at_first_wait_for_one_that_makes_it() -> None:
    ready, (made, make) = Barrier(6), counting()
    kept = Kept(make, FOR_S, Clock().monotonic_s)

    def ask() -> int:
        ready.wait(20)
        return kept.get()

    with ThreadPoolExecutor(6) as threads:
        told = [asked.result(20) for asked in [threads.submit(ask) for _ in range(6)]]

    assert (told, made) == ([0] * 6, [0])


def test_while_one_makes_it_anew_the_others_have_the_old_one() -> None:
    clock, begun, go_on = Clock(), Event(), Event()
    answers = iter(["old", "new"])

    def make() -> str:
        answer = next(answers)
        if answer == "new":
            begun.set()
            assert go_on.wait(20)
        return answer

    kept = Kept(make, FOR_S, clock.monotonic_s)
    kept.get()
    clock.advance(timedelta(seconds=FOR_S))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(kept.get)
        assert begun.wait(20)
        assert kept.get() == "old"
        go_on.set()
        assert first.result(20) == "new"
    assert kept.get() == "new"
