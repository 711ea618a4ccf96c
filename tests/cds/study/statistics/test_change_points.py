"""Steps of a monthly figure, where there are any."""

from __future__ import annotations

import numpy as np
import pytest

from cds.study.statistics.change_points import LEAST_MONTHS, ChangePoint, change_points

MONTHS = [f"20{year}-{month:02}" for year in range(20, 30) for month in range(1, 13)]


def found(values: list[float], error: float = 0.05) -> list[ChangePoint]:
    return change_points(MONTHS[: len(values)], values, [error] * len(values))


def test_a_step_is_found_in_its_month_with_the_levels_around_it() -> None:
    assert found([2.0] * 14 + [2.5] * 10) == [ChangePoint("2021-03", 2.0, 2.5)]


def test_of_two_steps_each_has_the_level_up_to_the_next() -> None:
    steps = found([2.0] * 12 + [3.0] * 12 + [2.0] * 12)

    assert steps == [ChangePoint("2021-01", 2.0, 3.0), ChangePoint("2022-01", 3.0, 2.0)]


@pytest.mark.parametrize("values", [[2.0] * 24, [0.0] * 24, [2.0, 2.04] * 12])
def test_what_moves_no_more_than_by_chance_has_no_step(values: list[float]) -> None:
    assert found(values) == []


def test_a_single_odd_month_among_many_is_no_level() -> None:
    assert [step.month for step in found([2.0] * 12 + [2.2] + [2.0] * 12)] == []


def test_a_figure_that_scatters_more_than_its_errors_say_is_held_against_its_own_scatter() -> None:
    rng = np.random.default_rng(1)

    assert sum(bool(found(list(rng.normal(2.0, 0.3, 48)), error=0.01)) for _ in range(40)) <= 6


def test_of_under_a_year_nothing_is_said() -> None:
    assert found([2.0] * 6 + [9.0] * (LEAST_MONTHS - 7)) == []
    assert found([]) == []


def test_steady_units_seldom_have_a_step() -> None:
    rng = np.random.default_rng(7)

    assert sum(bool(found(list(rng.normal(2.0, 0.05, 24)))) for _ in range(60)) <= 5
