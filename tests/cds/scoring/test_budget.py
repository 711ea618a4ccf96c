"""A bound on the memory of all exams in flight."""

from __future__ import annotations

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


def test_what_turns_out_larger_than_it_was_thought_counts_as_it_is() -> None:
    budget = ByteBudget(10)
    budget.reserve(4, never)
    budget.change(4, 9)

    assert not budget.reserve(2, lambda: True)
