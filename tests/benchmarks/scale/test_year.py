"""No exam is lost, scored twice or scored before it came, whatever goes wrong in the year."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scale.plan import HOURS_A_YEAR
from benchmarks.scale.year import MORNING, Counts, ModelChange, Scenario, Site, Trouble, Year, arrivals, simulate, told
from tests.benchmarks.records import plan

WEEK = 7 * 24
TROUBLES = st.lists(
    st.builds(Trouble, st.integers(0, WEEK), st.integers(1, 72), st.sampled_from([0.0, 0.25, 0.5])), max_size=3
).map(tuple)
CHANGES = st.none() | st.builds(ModelChange, st.integers(0, WEEK), st.integers(0, 3000), st.booleans())
SCENARIOS = st.builds(Scenario, TROUBLES, CHANGES, st.booleans(), st.booleans())
SITES = st.builds(Site, st.floats(0.3, 500), st.just(2))
ARRIVED = st.lists(st.integers(0, 40), min_size=WEEK, max_size=WEEK)
ROUNDED = 1
"""An exam that is done at the end of one hour at one speed may be done at the beginning of the next at another."""
FAST = Site(exams_an_hour=1000, machines=2)


def two_weeks(came: list[int]) -> Counts:
    """A week in which exams come and one in which none do."""
    return np.array([*came, *[0] * WEEK], dtype=np.int64)


def at(hours: dict[int, int], days: int = 30) -> Counts:
    """So many exams in some hours of so many days, and none in the others."""
    exams = np.zeros(24 * days, dtype=np.int64)
    for hour, count in hours.items():
        exams[hour] = count
    return exams


def steps(sums: Counts) -> Counts:
    """What each hour adds."""
    return np.diff(sums, prepend=0)


@settings(max_examples=60, deadline=None)
@given(ARRIVED, SITES, SCENARIOS)
def test_in_every_hour_who_came_is_scored_or_waits(came: list[int], site: Site, scenario: Scenario) -> None:
    exams = two_weeks(came)
    year = simulate(exams, site, scenario)

    assert (steps(year.arrived) == exams).all()
    assert (year.waiting >= 0).all()
    assert (steps(year.scored) >= 0).all()
    assert (year.old_waiting >= 0).all()


@settings(max_examples=60, deadline=None)
@given(ARRIVED, SITES, SCENARIOS)
def test_each_exam_is_scored_once_and_only_after_it_came(came: list[int], site: Site, scenario: Scenario) -> None:
    year = simulate(two_weeks(came), site, scenario)
    came_at, done_at, count = year.waits()
    is_done = done_at >= 0

    assert count.sum() == sum(came)
    assert count[is_done].sum() == year.scored[-1]
    assert (came_at[is_done] < done_at[is_done]).all()
    assert (np.diff(done_at[is_done]) >= 0).all()  # in the order in which they came


@settings(max_examples=60, deadline=None)
@given(ARRIVED, SITES, SCENARIOS)
def test_no_hour_does_more_than_its_machines_can(came: list[int], site: Site, scenario: Scenario) -> None:
    year = simulate(two_weeks(came), site, scenario)
    change = scenario.change or ModelChange(0, 0)
    old = steps(year.old_waiting)
    old[change.begins] -= change.exams
    new = steps(year.scored)
    # Beside the old ones a new exam is queued for the new model, too, once it is scored: that is no work of this hour.
    queued = new if change.beside else 0
    done_again = np.where(year.old_waiting + np.maximum(-old, 0) > 0, queued - old, 0)

    assert (np.cumsum(new + np.maximum(done_again, 0)) <= np.arange(1, len(new) + 1) * site.exams_an_hour + 1e-6).all()


@settings(max_examples=40, deadline=None)
@given(ARRIVED, SITES, SCENARIOS)
def test_twice_the_machines_never_have_more_waiting(came: list[int], site: Site, scenario: Scenario) -> None:
    alone = simulate(two_weeks(came), site, scenario)
    twice = simulate(two_weeks(came), replace(site, exams_an_hour=2 * site.exams_an_hour), scenario)

    assert (twice.waiting <= alone.waiting + ROUNDED).all()


@settings(max_examples=40, deadline=None)
@given(ARRIVED, SITES, TROUBLES)
def test_trouble_never_helps_and_loses_nobody(came: list[int], site: Site, troubles: tuple[Trouble, ...]) -> None:
    fast = replace(site, exams_an_hour=site.exams_an_hour + 500)
    usual = simulate(two_weeks(came), fast, Scenario())
    worse = simulate(two_weeks(came), fast, Scenario(troubles))

    assert (worse.waiting + ROUNDED >= usual.waiting).all()
    assert usual.scored[-1] == sum(came)
    if all(trouble.begins + trouble.hours < WEEK for trouble in troubles):
        assert worse.scored[-1] == sum(came)


def test_exams_are_found_when_the_night_begins() -> None:
    year = simulate(at({9: 10, 21: 5}), FAST, Scenario())

    assert (year.scored[19], year.scored[20], year.scored[43], year.scored[44]) == (0, 10, 10, 15)


def test_archives_that_are_asked_all_day_tell_of_them_in_the_next_hour() -> None:
    year = simulate(at({9: 10, 21: 5}), FAST, Scenario(polled=True))

    assert (year.scored[9], year.scored[10], year.scored[22]) == (0, 10, 15)


def test_workers_of_the_night_rest_by_day() -> None:
    year = simulate(at({9: 12_000}), FAST, Scenario(nights_only=True))

    assert (year.scored[29], year.scored[43], year.scored[44]) == (10_000, 10_000, 11_000)


def test_after_an_outage_the_next_try_is_waited_for() -> None:
    outage = Trouble(begins=20, hours=4, left=0.0)
    year = simulate(at({9: 10}), FAST, Scenario((outage,)))
    long = simulate(at({9: 10}), FAST, Scenario((replace(outage, hours=48),)))

    assert (year.scored[27], year.scored[28]) == (0, 10)  # as long again as it lasted
    assert (long.scored[73], long.scored[74]) == (0, 10)  # six hours at most


def test_half_of_the_machines_do_half_of_the_work() -> None:
    year = simulate(at({9: 10_000}), FAST, Scenario((Trouble(20, 100, 0.5),)))

    assert year.scored[29] == 5_000
    assert year.scored[39] == 10_000


def test_beside_the_old_model_new_exams_go_first_and_are_scored_by_both() -> None:
    change = ModelChange(begins=0, exams=21_500)
    year = simulate(at({9: 700}), FAST, Scenario(change=change))

    assert year.scored[20] == 700
    assert year.old_waiting[19] == 1_500
    assert year.old_waiting[20] == 1_500 - 300 + 700
    assert year.old_waiting[22] == 0
    assert told(year, Scenario(change=change)).change_days == pytest.approx(23 / 24, abs=0.05)


def test_of_a_setting_that_is_changed_at_once_new_exams_go_first_too_and_are_scored_by_one_model() -> None:
    change = ModelChange(begins=0, exams=30_000, beside=False)
    year = simulate(at({9: 700}), FAST, Scenario(change=change))

    assert year.scored[20] == 700
    assert [year.old_waiting[hour] for hour in (0, 19, 20, 30)] == [29_000, 10_000, 9_700, 0]


def test_a_change_that_does_not_end_is_told_so() -> None:
    scenario = Scenario(change=ModelChange(begins=10, exams=10**9))
    site = Site(exams_an_hour=300, machines=2)

    assert told(simulate(arrivals(5_000, 1), site, scenario), scenario).change_days == np.inf


def test_waits_are_counted_from_the_exam_to_the_end_of_the_hour_of_its_score() -> None:
    year = simulate(at({8: 90, 9: 10}, days=365), Site(exams_an_hour=10, machines=1), Scenario())
    found = told(year, Scenario())

    # Ten an hour from 20 on: the first ten are done at 21 after 13 hours, the last ones at 6 the next morning.
    assert (found.median, found.longest_of_95, found.longest) == (17, 21, 21)
    assert (found.by_morning, found.most_in_the_morning, found.change_days) == (1.0, 0, None)


def test_who_is_scored_after_the_morning_is_late() -> None:
    year = simulate(at({8: 200}, days=365), Site(exams_an_hour=10, machines=1), Scenario())
    found = told(year, Scenario())

    assert found.by_morning == pytest.approx((24 + MORNING - 20) * 10 / 200)
    assert found.most_in_the_morning == 200 - (24 + MORNING - 20) * 10


def test_exams_come_on_working_days_by_the_hours_of_a_clinic() -> None:
    exams = arrivals(2_000_000, 7)
    first = exams[:HOURS_A_YEAR].reshape(-1, 24)

    assert len(exams) == 4 * HOURS_A_YEAR
    assert first.sum() == pytest.approx(2_000_000, rel=0.005)
    assert (first.sum(axis=1) > 0).sum() == 250
    assert first[:, :8].sum() == first[:, 18:].sum() == 0
    assert first.sum(axis=1).max() / (2_000_000 / 250) < plan().programme.peak_day


def test_the_same_seed_makes_the_same_year_and_another_another() -> None:
    one, same, other = (simulate(arrivals(20_000, seed), FAST, Scenario()) for seed in (1, 1, 2))

    assert (one.arrived == same.arrived).all()
    assert (one.scored == same.scored).all()
    assert (one.arrived != other.arrived).any()


def test_a_site_is_what_its_plan_comes_to() -> None:
    found = Site.of(plan(2_000_000, "night_hours=8"))

    assert (found.machines, found.night_hours) == (2, 8)
    assert found.exams_an_hour * 8 >= 2_000_000 / 250 * 1.4


def test_who_waits_is_who_came_and_is_not_scored() -> None:
    year = Year(np.array([3, 5]), np.array([0, 4]), np.array([0, 0]))

    assert year.waiting.tolist() == [3, 1]
