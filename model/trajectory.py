"""Scores over time -> what changed, and what may be compared with what.

Lehman et al., Radiology 2026: among women who later had cancer the score rose, steepest in the last two years. No
per-patient threshold for a rise has been published: a trajectory shows, it does not decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from model.domain import (
    GAP_MONTHS,
    SHORTEST_RATE_YEARS,
    Comparability,
    Interval,
    ScoredExam,
    Trajectory,
    is_measurable,
    months_before,
    years_between,
)

MOST_PRIORS: Final = 6
"""The study's design: an index exam and up to six prior annual ones (Lehman et al., Radiology 2026)."""
RECENT_YEARS: Final = 3.0
"""How far before the latest exam an interval may end and still be called recent."""


def trajectory(
    exams: Iterable[ScoredExam],
    is_over: Callable[[float], bool],
    *,
    line_of: Comparability | None = None,
    minimum_detectable_change: float | None = None,
    gap_months: int = GAP_MONTHS,
) -> Trajectory | None:
    """Join the scores of one comparability class into a line; None without any score.

    `line_of` is the class that the site judges by: its current model, on the kind of image which that was made for.
    The line is then of that class alone, and no exam of another, performed whenever, changes it: a later one stands
    apart as an exam whose score cannot be used. Without `line_of` the class is the latest exam's, so that a later exam
    of another class does begin a line of its own.

    `is_over` says of a five-year risk (a fraction) whether it is over the site's threshold;
    `minimum_detectable_change` is a fraction too. Order of arrival and repeats of the same study do not matter: of one
    study and class the last scoring counts, of one day the highest score: two studies of a day are no change.
    """
    ordered = sorted(_last_scorings(exams), key=_place)
    if not ordered:
        return None
    joined = line_of or ordered[-1].comparability
    comparable = [exam for exam in ordered if exam.comparability == joined]
    of_day = {exam.performed_on: exam for exam in comparable}
    counted = tuple(of_day.values())
    older, points = counted[: -1 - MOST_PRIORS], counted[-1 - MOST_PRIORS :]
    pairs = [Interval(earlier, later) for earlier, later in pairwise(points)]
    return Trajectory(
        points=points,
        slope_per_year=_slope(points),
        steepest=_steepest(pairs, minimum_detectable_change),
        first_over=next((exam for exam in points if is_over(exam.score.five_year)), None),
        apart=tuple(exam for exam in ordered if exam.comparability != joined),
        device_changes=tuple(pair for pair in pairs if pair.later.device.differs_from(pair.earlier.device)),
        gaps=tuple(pair for pair in pairs if _is_gap(pair, gap_months)),
        older=older,
        minimum_detectable_change=minimum_detectable_change,
        same_day=tuple(exam for exam in comparable if exam is not of_day[exam.performed_on]),
    )


def _last_scorings(exams: Iterable[ScoredExam]) -> Iterable[ScoredExam]:
    last: dict[tuple[str, Comparability], ScoredExam] = {}
    for exam in exams:
        key = (exam.study_uid, exam.comparability)
        if key not in last or _recency(exam) > _recency(last[key]):
            last[key] = exam
    return last.values()


def _recency(exam: ScoredExam) -> tuple[datetime, str]:
    """Of two scorings at one instant any may count, but always the same one."""
    return exam.scored_at, repr(exam)


def _place(exam: ScoredExam) -> tuple[object, ...]:
    """By date, of a day by score; what follows tells apart all that is left, so that no order depends on arrival."""
    shared = exam.comparability
    return exam.performed_on, exam.score.five_year, exam.study_uid, shared.model, shared.image_type


def _is_gap(pair: Interval, gap_months: int) -> bool:
    return pair.earlier.performed_on < months_before(pair.later.performed_on, gap_months)


def _slope(points: Sequence[ScoredExam]) -> float | None:
    """Least squares, in fractions of risk per year."""
    if not points or years_between(points[0].performed_on, points[-1].performed_on) < SHORTEST_RATE_YEARS:
        return None
    years = [years_between(points[0].performed_on, point.performed_on) for point in points]
    risks = [point.score.five_year for point in points]
    mean_year, mean_risk = sum(years) / len(years), sum(risks) / len(risks)
    covariance = sum((y - mean_year) * (r - mean_risk) for y, r in zip(years, risks, strict=True))
    return covariance / sum((y - mean_year) ** 2 for y in years)


def _steepest(pairs: Sequence[Interval], minimum: float | None) -> Interval | None:
    """The recent interval with the fastest rise per year; None where nothing rose measurably."""
    recent = [
        pair
        for pair in pairs
        if pair.change > 0
        and pair.annual_change is not None
        and is_measurable(pair.change, minimum) is not False
        and years_between(pair.later.performed_on, pairs[-1].later.performed_on) <= RECENT_YEARS
    ]
    return max(recent, key=lambda pair: pair.annual_change or 0.0, default=None)
