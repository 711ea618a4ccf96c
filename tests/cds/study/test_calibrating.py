from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cds.study.calibrating import AS_IT_IS, CASES_IN_A_STEP, Known, choose, isotonic, log_score, platt
from cds.study.cohorts.landmark import first_exams
from model.site_calibration import Isotonic, Platt, mapped
from tests.cds.study.landmarks import cohort_by_chance, sixty


def known(seed: int, women: int, *, factor: float = 1.0, power: float = 1.0, risk: float = 0.06) -> Known:
    return Known.of(first_exams(cohort_by_chance(seed, women, factor=factor, power=power, risk=risk)).women)


def test_the_line_is_that_of_r_s_glm_with_the_same_weights() -> None:
    line = platt(Known.of(sixty()))
    assert line is not None
    assert (line.slope, line.intercept) == pytest.approx((0.3746211732, 1.2846562425), abs=1e-6)


def test_women_who_were_lost_early_stand_for_nobody_and_the_others_for_all() -> None:
    women = sixty()
    found = Known.of(women)
    is_lost = ~women["is_case"] & (women["years"] <= 5)
    assert (found.weight[is_lost] == 0).all()
    # Of the last ones alone nobody knows: the weights of the known add up to about everybody.
    assert found.weight.sum() == pytest.approx(60, rel=0.05)


def test_a_model_that_tells_twice_the_odds_is_put_right() -> None:
    found = choose(known(1, 8000, factor=2.0), seed=1)
    assert found.name == "platt"
    assert isinstance(found.map, Platt)
    assert found.log_scores["platt"] < found.log_scores[AS_IT_IS]
    assert mapped(found.map, 0.12) == pytest.approx(0.06, rel=0.15)


def test_a_model_that_is_right_is_left_as_it_is() -> None:
    right, rng = known(2, 8000), np.random.default_rng(5)
    told = Known(right.risk, rng.random(len(right.risk)) < right.risk, np.ones(len(right.risk)))
    found = choose(told, seed=1)
    assert (found.name, found.map) == (AS_IT_IS, None)
    assert list(found.predicted) == list(told.risk)


def test_where_the_truth_has_a_corner_steps_are_chosen() -> None:
    rng = np.random.default_rng(3)
    risk = rng.uniform(0.01, 0.5, 20_000)
    truth = np.where(risk < 0.3, 0.02, 0.02 + 2.5 * (risk - 0.3))
    found = choose(Known(risk, rng.random(len(risk)) < truth, np.ones(len(risk))), seed=1)
    assert found.name == "isotonic"
    assert isinstance(found.map, Isotonic)
    assert mapped(found.map, 0.4) == pytest.approx(0.27, rel=0.15)


def test_a_score_that_falls_with_the_risk_gives_no_calibrator() -> None:
    rng = np.random.default_rng(4)
    risk = rng.uniform(0.01, 0.3, 4000)
    against = Known(risk, rng.random(4000) < 0.3 - risk, np.ones(4000))
    assert platt(against) is None
    # All groups are pooled into one.
    assert isotonic(against) is None


def test_no_knot_is_one_woman_s() -> None:
    told = known(6, 6000, factor=1.5)
    steps = isotonic(told)
    assert steps is not None
    assert 2 <= len(steps.knots) <= told.is_case.sum() / CASES_IN_A_STEP
    own = np.log(told.risk / (1 - told.risk))
    assert not any(np.isclose(own, knot, rtol=0, atol=1e-12).any() for knot, _ in steps.knots)


def test_equal_scores_are_never_parted_between_two_knots() -> None:
    told = known(7, 6000)
    rounded = Known(told.risk.round(2).clip(0.01), told.is_case, told.weight)
    steps = isotonic(rounded)
    assert steps is not None
    seen = [knot for knot, _ in steps.knots]
    assert seen == sorted(set(seen))


def test_too_few_diagnoses_for_two_groups_make_no_steps() -> None:
    told = Known(np.linspace(0.01, 0.2, 200), np.arange(200) % 8 == 0, np.ones(200))
    assert isotonic(told) is None


def test_steps_are_no_candidate_under_two_hundred_diagnoses() -> None:
    told = known(8, 2500, factor=2.0)
    assert 100 <= told.is_case.sum() < 200
    assert list(choose(told, seed=1).log_scores) == [AS_IT_IS, "platt"]


def test_the_log_score_is_by_hand() -> None:
    told = Known(np.array([0.2, 0.1]), np.array([True, False]), np.array([1.0, 3.0]))
    assert log_score(told, told.risk) == pytest.approx((-np.log(0.2) - 3 * np.log(0.9)) / 4)


def test_the_same_seed_gives_the_same_calibrator() -> None:
    told = known(9, 3000, factor=2.0)
    assert choose(told, seed=2).map == choose(told, seed=2).map
    assert isinstance(pd.Series(choose(told, seed=2).predicted).max(), float)


@pytest.mark.parametrize("others", [0.01, 0.0999])
def test_scores_that_part_the_women_wholly_or_hardly_differ_give_no_line(others: float) -> None:
    risk = np.repeat([0.1, others], [250, 2000]) * np.exp(np.random.default_rng(1).normal(0, 1e-4, 2250))

    assert platt(Known(risk, np.arange(2250) < 250, np.ones(2250))) is None
