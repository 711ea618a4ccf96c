"""A bound on the memory of all exams in flight."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread

from hypothesis import given
from hypothesis import strategies as st

from cds.scoring.budget import ByteBudget


def never() -> bool:
    return False


@given(sizes=st.lists(st.integers(0, 60), max_size=12))
def test_it_is_never_exceeded_but_by_one_alone_that_is_larger_than_all_of_it(sizes: list[int]) -> None:
    budget = ByteBudget(50)
    held: list[int] = []
    for size in sizes:
        while budget.taken and budget.taken + size > 50:
            assert not budget.reserve(size, lambda: True)
            budget.change(held.pop(0), 0)
        assert budget.reserve(size, never)
        held.append(size)
        assert budget.taken == sum(held)
        assert budget.taken <= 50 or len([one for one in held if one]) == 1


def test_one_that_waits_goes_on_when_there_is_room() -> None:
    budget, entered = ByteBudget(10), Event()
    budget.reserve(8, never)

    def enter() -> None:
        budget.reserve(5, never)
        entered.set()

    thread = Thread(target=enter)
    thread.start()
    assert not entered.wait(0.05)
    budget.change(8, 2)
    assert entered.wait(10)
    thread.join()
    assert budget.taken == 7


def test_a_large_one_is_not_passed_by_small_ones_that_come_after_it() -> None:
    budget, order = ByteBudget(10), SimpleQueue[int]()
    budget.reserve(8, never)

    def enter(size: int) -> None:
        budget.reserve(size, never)
        order.put(size)

    threads = [Thread(target=enter, args=[size]) for size in (9, 1)]
    threads[0].start()
    wait_until(lambda: budget.waiting == 1)
    threads[1].start()
    wait_until(lambda: budget.waiting == 2)
    budget.change(8, 0)
    for thread in threads:
        thread.join()
    assert [order.get() for _ in threads] == [9, 1]


def wait_until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        Event().wait(0.001)


def test_those_that_turn_out_to_need_more_give_back_what_they_have_and_do_not_wait_for_each_other() -> None:
    budget, most = ByteBudget(10), SimpleQueue[int]()
    sizes = (7, 9, 25)
    for _ in sizes:
        budget.reserve(3, never)

    def grow(size: int) -> None:
        assert budget.exchange(3, size, never)
        most.put(budget.taken)
        budget.change(size, 0)

    threads = [Thread(target=grow, args=[size], daemon=True) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(most.get(timeout=0) for _ in sizes) == sorted(sizes)  # each was alone
    assert budget.taken == 0


def test_one_that_it_is_over_for_has_nothing_and_nobody_waits_behind_it() -> None:
    budget = ByteBudget(10)
    budget.reserve(8, never)
    budget.reserve(2, never)

    assert not budget.exchange(2, 4, lambda: True)
    assert budget.taken == 8
    assert budget.reserve(2, never)


def test_what_turns_out_larger_than_it_was_thought_counts_as_it_is() -> None:
    budget = ByteBudget(10)
    budget.reserve(4, never)
    budget.change(4, 9)

    assert not budget.reserve(2, lambda: True)
