"""Scores over time -> what changed, and what may be compared with what.

Lehman et al., Radiology 2026: among women who later had cancer the score rose, steepest in the last two years. No
per-patient threshold for a rise has been published: a trajectory shows, it does not decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Final

from model.domain import SHORTEST_RATE_YEARS, Interval, ScoredExam, Trajectory, years_between

RECENT_YEARS: Final = 3.0
"""How far before the latest exam an interval may end and still be called recent."""


def trajectory(exams: Iterable[ScoredExam], is_over: Callable[[float], bool]) -> Trajectory | None:
    """Join the scores that are comparable with the latest exam's; None without any.

    `is_over` says of a five-year risk (a fraction) whether it is over the site's threshold. Order of arrival and
    repeats of the same study do not matter: of one study and model the last scoring counts.
    """
    ordered = sorted(_last_scorings(exams), key=lambda exam: (exam.performed_on, exam.scored_at, exam.study_uid))
    if not ordered:
        return None
    latest = ordered[-1]
    points = tuple(exam for exam in ordered if _comparable(exam, latest))
    return Trajectory(
        points=points,
        slope_per_year=_slope(points),
        steepest=_steepest(points),
        first_over=next((exam for exam in points if is_over(exam.score.five_year)), None),
        apart=tuple(exam for exam in ordered if not _comparable(exam, latest)),
        device_changes=tuple(pair for pair in _intervals(points) if pair.earlier.device != pair.later.device),
    )


def _last_scorings(exams: Iterable[ScoredExam]) -> Iterable[ScoredExam]:
    last: dict[tuple[str, str], ScoredExam] = {}
    for exam in exams:
        key = (exam.study_uid, exam.score.model.key)
        if key not in last or _recency(exam) > _recency(last[key]):
            last[key] = exam
    return last.values()


def _recency(exam: ScoredExam) -> tuple[datetime, date, tuple[float, ...]]:
    """Of two scorings at one instant any may count, but always the same one."""
    return exam.scored_at, exam.performed_on, exam.score.calibrated


def _comparable(exam: ScoredExam, other: ScoredExam) -> bool:
    """Same weights, preprocessing, calibration and kind of image. A change of device is marked, not cut."""
    return exam.score.model.key == other.score.model.key and exam.image_type == other.image_type


def _intervals(points: Sequence[ScoredExam]) -> Iterable[Interval]:
    return (Interval(earlier, later) for earlier, later in pairwise(points))


def _slope(points: Sequence[ScoredExam]) -> float | None:
    """Least squares, in fractions of risk per year."""
    if not points or years_between(points[0].performed_on, points[-1].performed_on) < SHORTEST_RATE_YEARS:
        return None
    years = [years_between(points[0].performed_on, point.performed_on) for point in points]
    risks = [point.score.five_year for point in points]
    mean_year, mean_risk = sum(years) / len(years), sum(risks) / len(risks)
    covariance = sum((y - mean_year) * (r - mean_risk) for y, r in zip(years, risks, strict=True))
    return covariance / sum((y - mean_year) ** 2 for y in years)


def _steepest(points: Sequence[ScoredExam]) -> Interval | None:
    """The recent interval with the fastest rise per year; None where nothing rose."""
    recent = [
        pair
        for pair in _intervals(points)
        if pair.change > 0
        and pair.years >= SHORTEST_RATE_YEARS
        and years_between(pair.later.performed_on, points[-1].performed_on) <= RECENT_YEARS
    ]
    return max(recent, key=lambda pair: pair.change / pair.years, default=None)
