"""What a programme needs follows from its size, and every part of it can be followed by hand."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scale.plan import HOURS_A_YEAR, Capacity, Plan, Programme, capacity, pipeline_seconds
from benchmarks.scale.stage_costs import Stage
from tests.benchmarks.records import plan

SIZES = st.integers(100, 20_000_000)


def needs(found: Capacity) -> list[float]:
    """All that is bought, in an order."""
    scoring = [(one.workers, one.cores, one.gpus) for one in (found.on_cpus, found.on_gpus)]
    rest = [found.machines, found.memory_gb, found.mbit_a_second, found.calls_a_second, found.hook_processes]
    return [*(number for numbers in scoring for number in numbers), *rest, found.database_gb, found.storage_gb]


@given(SIZES, SIZES)
def test_more_exams_never_need_less(some: int, others: int) -> None:
    few, many = sorted((some, others))

    assert all(less <= more for less, more in zip(needs(of(few)), needs(of(many)), strict=True))


def of(exams: int) -> Capacity:
    return capacity(plan(exams))


@given(SIZES)
def test_twice_the_exams_need_twice_as_much_up_to_whole_things(exams: int) -> None:
    once, twice = of(exams), of(2 * exams)

    for part in ("exams_a_night", "mbit_a_second", "calls_a_second", "database_gb"):
        assert getattr(twice, part) == pytest.approx(2 * getattr(once, part))
    assert 2 * once.on_cpus.workers - 1 <= twice.on_cpus.workers <= 2 * once.on_cpus.workers
    assert 2 * once.hook_processes - 1 <= twice.hook_processes <= 2 * once.hook_processes


@given(SIZES)
def test_the_busiest_night_fits_into_the_night(exams: int) -> None:
    found = of(exams)

    assert found.exams_a_night <= found.on_cpus.exams_an_hour * Programme(exams).night_hours * (1 + 1e-9)
    assert found.exams_a_night <= found.on_gpus.exams_an_hour * Programme(exams).night_hours * (1 + 1e-9)


def test_cores_are_those_of_the_busiest_night() -> None:
    needed = plan(10_000_000)
    # The four stages, and four pictures of two syntaxes that take 50 and 250 ms more than uncompressed ones.
    core_s = 0.2 + 0.4 + 7.0 + 0.01 + 0.4 * 4 * 0.05 + 0.3 * 4 * 0.25
    asked = 10_000_000 / 250 * 1.4 / 36_000 / 0.7

    assert needed.core_seconds() == pytest.approx(core_s)
    assert capacity(needed).on_cpus.cores == 2 * ceil(asked * core_s / 2)


def test_beside_a_gpu_cores_make_no_pictures_either() -> None:
    # 0.15 s on two cores of the 0.4 core-seconds of `prepare`, and the network.
    needed, all_of_it = plan(), plan(200_000, "preprocess_core_s=9")

    assert needed.core_seconds(network=False) == pytest.approx(needed.core_seconds() - 7.0 - 0.3)
    assert all_of_it.core_seconds(network=False) == pytest.approx(needed.core_seconds() - 7.0 - 0.4)


def test_the_busiest_second_is_of_the_busiest_day() -> None:
    usual, peak = (plan(10_000_000, f"peak_day={share}").calls_a_second for share in (1, 2))

    assert usual == pytest.approx(4 * 10_000_000 / 250 * 0.2 * 5 / 3600)
    assert peak == pytest.approx(2 * usual)


def test_bytes_on_the_wire_add_up() -> None:
    needed = plan(10_000_000)

    assert needed.wire_bytes == pytest.approx(0.3 * 68e6 + 0.7 * 0.4 * 68e6)
    assert capacity(needed).mbit_a_second == pytest.approx(needed.exams_a_second * needed.wire_bytes * 8 / 1e6)


def test_bytes_in_the_database_add_up() -> None:
    found = of(1_000_000)

    assert found.database_gb == pytest.approx(1.5 * 7 * (2000 + 2200 + 4 * 4000) / 1000)
    assert found.storage_gb == pytest.approx(3 * found.database_gb + 20 * found.machines)


def test_the_cost_of_an_exam_is_that_of_all_that_is_there_all_year() -> None:
    found = of(50_000_000)
    cores = found.on_cpus.cores + found.hook_processes

    bought = cores * HOURS_A_YEAR * 0.05 + found.storage_gb * 12 * 0.1
    assert found.hook_processes > 1
    assert found.on_cpus.cost_of_an_exam == pytest.approx(bought / 50_000_000)


def test_a_gpu_that_was_not_measured_is_reckoned_by_its_rate_and_one_that_was_by_its_time() -> None:
    assert plan().gpu_seconds == pytest.approx(943.9e9 / 494e12)
    assert plan(200_000, "gpu_efficiency=0.4").gpu_seconds == pytest.approx(943.9e9 / (494e12 * 0.4))
    assert plan(200_000, "forward_gpu_s=0.02").gpu_seconds == 0.02


def test_with_a_gpu_the_cores_that_prepare_may_be_what_it_waits_for() -> None:
    few, many = (capacity(plan(10_000_000, f"prepare.core_s={core_s}")).on_gpus for core_s in (0.4, 40))

    assert few.exams_an_hour == pytest.approx(few.cores / plan().core_seconds(network=False) * 0.7 * 3600)
    assert few.cores < many.cores
    assert few.gpus == many.gpus == 1


def test_an_archive_is_scored_again_in_what_new_exams_leave() -> None:
    found = of(2_000_000)
    free = 24 * found.on_cpus.exams_an_hour - 2 * 2_000_000 / 365

    assert found.on_cpus.days_to_rescore == pytest.approx(3 * 2_000_000 / free)


def test_an_archive_is_never_scored_again_by_what_new_exams_fill() -> None:
    no_room = ("night_hours=24", "working_days=365", "peak_day=1", "utilisation=1")

    assert capacity(plan(10_000_000, *no_room)).on_cpus.days_to_rescore == inf


@given(st.floats(0.05, 1), st.floats(0.05, 1))
def test_who_counts_on_less_of_a_core_buys_no_fewer(some: float, others: float) -> None:
    low, high = sorted((some, others))
    less, more = (capacity(plan(5_000_000, f"utilisation={share!r}")) for share in (low, high))

    assert less.on_cpus.cores >= more.on_cpus.cores
    assert less.hook_processes >= more.hook_processes


def test_one_worker_is_on_one_machine_and_two_are_on_two() -> None:
    assert [of(exams).machines for exams in (5_000, 2_000_000, 100_000_000)] == [1, 2, 12]


def test_shares_of_syntaxes_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        replace(Programme(1000), syntaxes=(("Explicit VR Little Endian", 0.5),))


def test_a_pipeline_is_as_fast_as_its_slowest_stage_or_as_its_cores() -> None:
    fetch, score = Stage(core_s=0.2, alone_s=2.0), Stage(core_s=6.0, alone_s=1.0)

    assert pipeline_seconds([fetch, score], 16) == 2.0
    assert pipeline_seconds([fetch, score], 2) == 3.1


def test_a_plan_keeps_what_it_is_given() -> None:
    assert isinstance(plan(), Plan)
    assert (plan(5).programme.exams_a_year, plan(5, "peak_day=2").programme.peak_day) == (5, 2.0)
