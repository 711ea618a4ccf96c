"""How many exams of each month could not be scored: a unit or an archive that changed shows there too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Engine, Integer, case, cast, extract, func, select
from sqlmodel import col

from cds.store.tables import Exam, Scoring, ScoringState


@dataclass(frozen=True)
class MonthOfRefusals:
    """The exams of a month, as in 2026-05, that were looked at, and those of them that were refused.

    Of which unit a refused exam is, is not kept.
    """

    month: str
    exams: int
    refused: int


def refusals_by_month(engine: Engine, model: str, since: date) -> list[MonthOfRefusals]:
    """The exams of a day and later that a model scored or refused, the earliest month first; a study counts once."""
    year, month = (cast(extract(part, col(Exam.performed_on)), Integer) for part in ("year", "month"))
    study = func.coalesce(col(Exam.study_uid), col(Exam.key))
    is_refused = col(Scoring.state) == ScoringState.REFUSED
    single = (
        select(year.label("year"), month.label("month"), study.label("study"), is_refused.label("is_refused"))
        .join(Scoring, col(Scoring.exam_id) == col(Exam.id))
        .where(
            col(Scoring.model) == model,
            col(Scoring.state).in_([ScoringState.SCORED, ScoringState.REFUSED]),
            col(Exam.performed_on) >= since,
        )
        .subquery()
    )
    refused = func.count(case((single.c.is_refused, single.c.study)).distinct())
    query = select(single.c.year, single.c.month, func.count(single.c.study.distinct()), refused)
    with engine.connect() as connection:
        rows = connection.execute(query.group_by(single.c.year, single.c.month)).all()
    return sorted((MonthOfRefusals(f"{y}-{m:02}", exams, n) for y, m, exams, n in rows), key=lambda one: one.month)
