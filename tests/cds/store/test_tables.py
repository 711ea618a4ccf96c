"""Instants in the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import StatementError
from sqlmodel import Session, select

from cds.store.tables import Exam


def keep(engine: Engine, moment: datetime) -> datetime:
    """The moment as it comes back from the database."""
    with Session(engine) as session:
        session.add(Exam(ehr="e", patient_id="p", key="k", study_uid="1.2", first_seen_at=moment))
        session.commit()
    with Session(engine) as session:
        return session.exec(select(Exam.first_seen_at)).one()


def test_a_moment_of_any_time_zone_comes_back_as_the_same_moment_in_utc(engine: Engine) -> None:
    moment = datetime(2026, 5, 20, 1, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))

    kept = keep(engine, moment)

    assert kept == moment
    assert kept.tzinfo is UTC
    assert kept.day == 19


def test_a_moment_without_a_time_zone_is_refused(engine: Engine) -> None:
    with pytest.raises(StatementError, match="an instant without a time zone"):
        keep(engine, datetime(2026, 5, 20, 1, 30))  # noqa: DTZ001 - that is the point
