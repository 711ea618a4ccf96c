"""When the scores of a mammography unit are said to drift: one plain rule over their medians, month by month."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from math import sqrt
from typing import Final

from cds.store.score_spread import ScoreSpread
from model.domain import months_before

LEAST_EXAMS: Final = 30
"""Months with fewer are left out: their medians move by a quarter of their value by chance."""
RECENT_MONTHS, ENOUGH_RECENT = 3, 2
"""Two of the last three full months must lie apart, on one side: a single odd month is no drift."""
EARLIER_MONTHS, LEAST_EARLIER = 9, 6
"""Of the months before, those that make a year with the recent ones; so many of them must have enough exams."""
LEAST_MARGIN: Final = 0.001
"""A tenth of a percentage point, the last decimal that a card shows: less is of no use to anybody, however certain."""
_ERROR_OF_MEDIAN: Final = 0.929
"""The standard error of a median is this times the distance of the quartiles over the root of the count: 1.2533/1.349,
as for a normal distribution."""


@dataclass(frozen=True)
class Drift:
    """What the rule says of one unit: the range of its earlier medians (fractions), and the recent months beyond it."""

    device: str
    lowest: float
    highest: float
    beyond: tuple[ScoreSpread, ...] = ()

    @property
    def is_alarm(self) -> bool:
        """Whether enough of the recent months lie apart."""
        return len(self.beyond) >= ENOUGH_RECENT

    @property
    def words(self) -> str:
        """What an alarm says; the same without one says what is usual."""
        usual = f"{100 * self.lowest:.2f} to {100 * self.highest:.2f} % in the months before"
        told = ", ".join(f"{100 * (one.median or 0):.2f} % in {one.month}" for one in self.beyond)
        return f"median {told}, against {usual}" if self.is_alarm else f"medians as usual: {usual}"


def judge(spread: Iterable[ScoreSpread], today: date) -> list[Drift]:
    """The rule for each unit that has enough months with at least 30 exams; of the others nothing can be said.

    It alarms where the medians of two of the last three full months lie on one side of all those of the nine months
    before, by more than their own standard error and a tenth of a percentage point. Where nothing drifts, about one
    unit in a hundred alarms in a quarter (at most one in 65: simulated with 30 to 1000 exams a month and scores as the
    study's). A shift by a quarter of the median alarms in seven of ten units with 100 exams a month, and practically
    always with 300. A creeping change may pass: `mammotrend study drift` looks for that.
    """
    this_month = today.replace(day=1)
    first, first_recent = (
        _month(months_before(this_month, count)) for count in (EARLIER_MONTHS + RECENT_MONTHS, RECENT_MONTHS)
    )
    by_unit: defaultdict[str, list[ScoreSpread]] = defaultdict(list)
    for one in spread:
        if one.median is not None and one.exams >= LEAST_EXAMS and first <= one.month < _month(this_month):
            by_unit[one.device].append(one)
    judged = (_judge(device, months, first_recent) for device, months in sorted(by_unit.items()))
    return [one for one in judged if one is not None]


def _judge(device: str, months: list[ScoreSpread], first_recent: str) -> Drift | None:
    recent = sorted((one for one in months if one.month >= first_recent), key=lambda one: one.month)
    earlier = [one.median for one in months if one.month < first_recent and one.median is not None]
    if len(recent) < ENOUGH_RECENT or len(earlier) < LEAST_EARLIER:
        return None
    lowest, highest = min(earlier), max(earlier)
    below = tuple(one for one in recent if (one.median or 0.0) < lowest - margin(one))
    above = tuple(one for one in recent if (one.median or 0.0) > highest + margin(one))
    return Drift(device, lowest, highest, max(below, above, key=len))


def margin(one: ScoreSpread) -> float:
    """By how much a month's median must lie apart, a fraction."""
    return max(LEAST_MARGIN, error_of_median(one))


def error_of_median(one: ScoreSpread) -> float:
    """The standard error of a month's median, a fraction."""
    return _ERROR_OF_MEDIAN * ((one.upper or 0.0) - (one.lower or 0.0)) / sqrt(one.exams)


def _month(day: date) -> str:
    return f"{day:%Y-%m}"
