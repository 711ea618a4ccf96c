"""What is kept. Every name here is in a site's database: change one only together with a migration."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Column, DateTime, ForeignKey, Index, TypeDecorator, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlmodel import AutoString, Field, SQLModel


class UtcDateTime(TypeDecorator[datetime]):
    """An instant. SQLite forgets time zones, so they are taken off on the way in and put back on the way out."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("an instant without a time zone")
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


class Exam(SQLModel, table=True):
    """A mammography exam that an EHR told us of. One study has one row for each EHR that knows it."""

    __tablename__ = "exam"
    __table_args__ = (UniqueConstraint("ehr", "study_uid"), Index("exam_of_patient", "ehr", "patient_id"))

    id: int | None = Field(default=None, primary_key=True)
    ehr: str
    patient_id: str
    study_uid: str
    accession_number: str | None = None
    imaging_study: str | None = None
    performed_on: date | None = None
    dicomweb_root: str | None = None
    patient_identifiers: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    first_seen_at: datetime = Field(sa_type=UtcDateTime)


class ScoringState(StrEnum):
    """Where an exam is on its way to a score."""

    QUEUED = "queued"
    SCORED = "scored"
    REFUSED = "refused"


class Scoring(SQLModel, table=True):
    """The errand of scoring one exam with one model: the queue, and why an exam has no score.

    `finished_at` is when the last attempt ended; None before the first one and while one is under way.
    """

    __tablename__ = "scoring"
    __table_args__ = (
        UniqueConstraint("exam_id", "model"),
        Index("scoring_queue", "model", "state", "urgent", "due_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    exam_id: int = Field(sa_column=Column(ForeignKey("exam.id"), nullable=False))
    model: str
    state: ScoringState = Field(default=ScoringState.QUEUED, sa_type=AutoString)
    urgent: bool = False
    queued_at: datetime = Field(sa_type=UtcDateTime)
    due_at: datetime = Field(sa_type=UtcDateTime)
    attempts: int = 0
    problem: str | None = None
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    exclusions: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))


class Score(SQLModel, table=True):
    """One score of one study by one model version: written once, never changed."""

    __tablename__ = "score"
    __table_args__ = (UniqueConstraint("study_uid", "model"),)

    id: int | None = Field(default=None, primary_key=True)
    study_uid: str
    model: str
    model_name: str
    weights: str
    preprocessing: str
    calibration: str
    clinical: bool
    performed_on: date
    calibrated: list[float] = Field(sa_column=Column(JSON, nullable=False))
    raw: list[float] = Field(sa_column=Column(JSON, nullable=False))
    manufacturer: str = ""
    device_model: str = ""
    software_versions: str = ""
    image_type: str
    warnings: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    scored_at: datetime = Field(sa_type=UtcDateTime)
