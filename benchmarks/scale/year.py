"""A year of a programme by the hour: women come, workers score, things go wrong. The same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from benchmarks.scale.plan import CALENDAR_DAYS, HOURS_A_YEAR, Plan, capacity
from cds.store.waiting import LONGEST_RETRY

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]

FIRST_DAY = date(2027, 1, 1)
YEARS = 4
"""The exams of the first are told of; whatever is left over is scored in the others."""
MORNING = 7
"""The hour at which a day's exams should have their scores."""
LONGEST_RETRY_HOURS = LONGEST_RETRY // timedelta(hours=1)

OF_WEEKDAY = (1.05, 1.05, 1.05, 1.0, 0.85, 0.0, 0.0)
OF_MONTH = (0.95, 1.0, 1.05, 1.0, 1.05, 0.95, 0.85, 0.85, 1.05, 1.25, 1.1, 0.9)
"""Fewer in the summer, most in October, when campaigns invite."""
OF_HOUR = {8: 0.8, 9: 1.2, 10: 1.2, 11: 1.1, 12: 0.7, 13: 0.9, 14: 1.1, 15: 1.1, 16: 0.9, 17: 0.5}
HOLIDAYS = frozenset({(1, 1), (3, 26), (3, 29), (5, 6), (5, 17), (12, 24), *((12, day) for day in range(27, 32))})
"""Month and day: eleven working days, so that 250 are left."""


@dataclass(frozen=True)
class Site:
    """What scores: so many exams an hour on all machines. Exams are looked for when the night begins."""

    exams_an_hour: float
    machines: int
    night_begins: int = 20
    night_hours: int = 10

    @classmethod
    def of(cls, plan: Plan) -> Site:
        """What a plan comes to, on cores alone."""
        needed = capacity(plan)
        return cls(needed.on_cpus.exams_an_hour, needed.machines, night_hours=round(plan.programme.night_hours))


@dataclass(frozen=True)
class Trouble:
    """From an hour of the year on, for so many hours, only this share of the usual speed is left."""

    begins: int
    hours: int
    left: float


@dataclass(frozen=True)
class ModelChange:
    """At an hour of the year so many old exams are to be scored by another model.

    New exams go first either way. `beside`: by `rescore --model`; until the old ones are done both models score the new
    ones. Otherwise the setting was changed at once, and the new model alone scores them.
    """

    begins: int
    exams: int
    beside: bool = True


@dataclass(frozen=True)
class Scenario:
    """What happens in the year. `polled`: archives are asked all day for what is new, not when the night begins."""

    troubles: tuple[Trouble, ...] = ()
    change: ModelChange | None = None
    polled: bool = False
    nights_only: bool = False


@dataclass(frozen=True)
class Year:
    """Hour by hour from the first on; each number is as it stands at the end of the hour.

    `arrived` and `scored` are sums of the new exams, `old_waiting` the exams that the new model has still to score.
    """

    arrived: Counts
    scored: Counts
    old_waiting: Counts

    @property
    def waiting(self) -> Counts:
        """New exams without a score."""
        return self.arrived - self.scored

    def waits(self) -> tuple[Counts, Counts, Counts]:
        """Of the exams of the first year: the hours in which some came and were scored, and how many these were.

        Exams are scored in the order in which they came. One that is not scored by the end is scored at -1.
        """
        of_year = self.arrived[:HOURS_A_YEAR][-1]
        edges = np.unique(np.concatenate(([0], self.arrived, self.scored)))
        edges = edges[edges <= of_year]
        came = np.searchsorted(self.arrived, edges[1:])
        done = np.searchsorted(self.scored, edges[1:])
        return came, np.where(done == len(self.scored), -1, done), np.diff(edges)


@dataclass(frozen=True)
class Told:
    """A year in a few numbers. Waits are in hours from the exam to its score; `change_days` None without a change."""

    median: float
    longest_of_95: float
    longest: float
    by_morning: float
    most_in_the_morning: int
    change_days: float | None


def arrivals(exams_a_year: int, seed: int, years: int = YEARS) -> Counts:
    """New exams in each hour of so many years of 365 days."""
    days = [FIRST_DAY + timedelta(days=number) for number in range(CALENDAR_DAYS * years)]
    of_day = np.array([_of_day(day) for day in days])
    of_hour = np.array([OF_HOUR.get(hour, 0.0) for hour in range(24)])
    weights = np.outer(of_day, of_hour / of_hour.sum())
    mean = exams_a_year * weights / weights[:CALENDAR_DAYS].sum()
    exams: Counts = np.random.default_rng(seed).poisson(mean).ravel().astype(np.int64)
    return exams


def _of_day(day: date) -> float:
    is_holiday = (day.month, day.day) in HOLIDAYS
    return 0.0 if is_holiday else OF_WEEKDAY[day.weekday()] * OF_MONTH[day.month - 1]


def simulate(exams: Counts, site: Site, scenario: Scenario) -> Year:
    """What becomes of the exams that come in each hour."""
    arrived: Counts = np.cumsum(exams)
    found = _found(arrived, site, scenario)
    can = _can(len(exams), site, scenario)
    scored, old_waiting = _new_first(found, can, scenario.change or ModelChange(len(exams), 0))
    return Year(arrived, scored, old_waiting)


def _found(arrived: Counts, site: Site, scenario: Scenario) -> Counts:
    """How many exams the workers know of in each hour: those that came before the last look."""
    before = np.concatenate(([0], arrived[:-1]))
    if scenario.polled:
        return before
    looks = np.arange(len(arrived)) % 24 == site.night_begins
    found: Counts = np.maximum.accumulate(np.where(looks, before, 0))
    return found


def _can(hours: int, site: Site, scenario: Scenario) -> Counts:
    """How many exams can be scored in each hour, so that none is counted that is not done by its end."""
    speed = np.ones(hours)
    for trouble in scenario.troubles:
        speed[trouble.begins : trouble.begins + trouble.hours] *= trouble.left
        if trouble.left == 0.0:
            # What failed meanwhile is tried again only after a wait, about as long as it has been failing.
            after = trouble.begins + trouble.hours
            speed[after : after + min(trouble.hours, LONGEST_RETRY_HOURS)] = 0.0
    if scenario.nights_only:
        speed[(np.arange(hours) - site.night_begins) % 24 >= site.night_hours] = 0.0
    return np.diff(np.floor(np.cumsum(site.exams_an_hour * speed)), prepend=0).astype(np.int64)


def _new_first(found: Counts, can: Counts, change: ModelChange) -> tuple[Counts, Counts]:
    """New exams first; what is left of an hour is for the old ones."""
    scored, old_waiting = np.zeros_like(found), np.zeros_like(found)
    done, old, is_under_way = 0, 0, False
    for hour, (known, free) in enumerate(zip(found.tolist(), can.tolist(), strict=True)):
        if hour == change.begins:
            old, is_under_way = change.exams, change.exams > 0
        new = min(free, known - done)
        done += new
        if is_under_way:
            # Beside the model that there is, which has scored the new ones, the new model has to score them, too.
            old += new * change.beside - min(free - new, old)
            is_under_way = old > 0
        scored[hour], old_waiting[hour] = done, old
    return scored, old_waiting


def told(year: Year, scenario: Scenario) -> Told:
    """What a site wants to know of a year."""
    came, done, count = year.waits()
    waited = np.where(done < 0, np.inf, done + 1.0 - came)
    in_time = (done >= 0) & (done + 1 <= 24 * (came // 24 + 1) + MORNING)
    median, longest_of_95 = (_quantile(waited, count, share) for share in (0.5, 0.95))
    mornings = year.waiting[:HOURS_A_YEAR][MORNING - 1 :: 24]
    return Told(
        median=median,
        longest_of_95=longest_of_95,
        longest=float(waited.max()),
        by_morning=float(count[in_time].sum() / count.sum()),
        most_in_the_morning=int(mornings.max()),
        change_days=_change_days(year, scenario.change),
    )


def _quantile(values: Numbers, count: Counts, share: float) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(count[order])
    return float(values[order][np.searchsorted(reached, share * reached[-1])])


def _change_days(year: Year, change: ModelChange | None) -> float | None:
    if change is None:
        return None
    left = np.flatnonzero(year.old_waiting[change.begins :])
    hours = int(left[-1]) + 1 if len(left) else 0
    return hours / 24 if change.begins + hours < len(year.scored) else np.inf
