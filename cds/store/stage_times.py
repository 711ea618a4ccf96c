"""How long the stages of scoring take: what every worker adds to, and anybody may sum up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import Engine
from sqlmodel import Session, col, func, select

from cds.store.database import insert_into
from cds.store.tables import Stage, StageTime


@dataclass(frozen=True)
class Spent:
    """Seconds that went into a stage, and how many exams went through it."""

    seconds: float = 0.0
    exams: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.seconds + other.seconds, self.exams + other.exams)

    @property
    def seconds_each(self) -> float | None:
        """Mean seconds an exam; None before the first."""
        return self.seconds / self.exams if self.exams else None


def add_times(engine: Engine, model: str, now: datetime, spent: Mapping[Stage, Spent]) -> None:
    """Add to the day's totals, of which none is lost whoever adds at the same moment."""
    day = now.astimezone(UTC).date()
    # In one order, so that two workers cannot wait for each other's rows.
    rows = [
        {"model": model, "stage": stage, "day": day, "seconds": spent[stage].seconds, "exams": spent[stage].exams}
        for stage in sorted(spent)
    ]
    with Session(engine) as session:
        new = insert_into(session, StageTime).values(rows)
        more = {name: col(getattr(StageTime, name)) + new.excluded[name] for name in ("seconds", "exams")}
        session.execute(new.on_conflict_do_update(index_elements=["model", "stage", "day"], set_=more))
        session.commit()


def sum_times(engine: Engine, model: str, since: date | None = None) -> dict[Stage, Spent]:
    """What each stage took with a model, in their order; of every day, or from one on (UTC)."""
    days = [col(StageTime.day) >= since] if since else []
    query = (
        select(StageTime.stage, func.sum(StageTime.seconds), func.sum(StageTime.exams))
        .where(StageTime.model == model, *days)
        .group_by(col(StageTime.stage))
    )
    with Session(engine) as session:
        found = {stage: Spent(seconds, exams) for stage, seconds, exams in session.exec(query)}
    return {stage: found.get(stage, Spent()) for stage in Stage}
