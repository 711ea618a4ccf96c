"""How the scores of each mammography unit lie, month by month: by this it shows when a unit or the model drifts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, Engine, Integer, case, cast, extract, func, select
from sqlmodel import col

from cds.store.tables import Exam, Score, Scoring, ScoringState
from model.domain import YEARS

FEWEST = 10
"""Of fewer exams nothing but their number is told: a mean of one exam is one woman's score."""
MOST_ROWS = 600
"""Units times months; those with the most exams are told."""
_FIVE_YEAR = len(YEARS) - 1


@dataclass(frozen=True)
class ScoreSpread:
    """The five-year scores of one unit's exams of one month, as fractions; None where there are too few.

    `month` is as in 2026-05, `lower` and `upper` are the quartiles.
    """

    device: str
    month: str
    exams: int
    mean: float | None
    lower: float | None
    median: float | None
    upper: float | None


def spread_of_scores(engine: Engine, model: str, since: date) -> list[ScoreSpread]:
    """The scores of a model for exams of a day and later, by unit and month; worked out by the database.

    Of an exam whose images were replaced only the last one counts, of one that no EHR lists any more none. A million
    scores take some seconds: keep what it gives.
    """
    standing = (
        select(col(Scoring.score_id))
        .join(Exam, col(Exam.id) == col(Scoring.exam_id))
        .where(col(Scoring.model) == model, col(Scoring.state) == ScoringState.SCORED, col(Exam.listed))
    )
    year, month = (cast(extract(part, col(Score.performed_on)), Integer) for part in ("year", "month"))
    single = select(
        # As one text, as it is told: two units of one name would else be told twice.
        func.trim(col(Score.manufacturer) + " " + col(Score.device_model)).label("device"),
        year.label("year"),
        month.label("month"),
        col(Score.calibrated)[_FIVE_YEAR].as_float().label("risk"),
    ).where(col(Score.model) == model, col(Score.performed_on) >= since, col(Score.id).in_(standing))
    of_unit = single.subquery()
    group = (of_unit.c.device, of_unit.c.year, of_unit.c.month)
    ranked = select(
        *group,
        of_unit.c.risk,
        func.count().over(partition_by=group).label("exams"),
        func.row_number().over(partition_by=group, order_by=of_unit.c.risk).label("rank"),
    ).subquery()
    by = (ranked.c.device, ranked.c.year, ranked.c.month)

    def quantile(quarters: int) -> ColumnElement[float]:
        # The nearest rank: the least score that so many quarters of all do not exceed.
        return func.min(case((4 * ranked.c.rank >= quarters * ranked.c.exams, ranked.c.risk)))

    numbers = (func.count(), func.avg(ranked.c.risk), quantile(1), quantile(2), quantile(3))
    query = select(*by, *numbers).group_by(*by).order_by(func.count().desc()).limit(MOST_ROWS)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return sorted(map(_spread, map(tuple, rows)), key=lambda one: (one.device, one.month))


def _spread(row: tuple[str, int, int, int, float, float, float, float]) -> ScoreSpread:
    device, year, month, exams, *numbers = row
    mean, lower, median, upper = numbers if exams >= FEWEST else (None,) * 4
    return ScoreSpread(device or "not named", f"{year}-{month:02}", exams, mean, lower, median, upper)
