"""What is kept. Every name here is in a site's database: change one only together with a migration."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import JSON, Column, DateTime, ForeignKey, Index, Integer, TypeDecorator, UniqueConstraint, text
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


def _json_list() -> Any:
    return Field(default_factory=list, sa_column=Column(JSON, nullable=False))


def _where(name: str, *columns: str, condition: str) -> Index:
    """An index over the few rows for which a condition holds."""
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


class ExamSource(StrEnum):
    """Who told us of an exam: the EHR's list, or an archive that was asked for the patient's earlier ones."""

    EHR = "ehr"
    PACS = "pacs"


class Exam(SQLModel, table=True):
    """A mammography exam of one EHR's patient. One study has one row for each EHR that knows it.

    `key` is the study UID, or the accession number where the EHR gives no UID; `study_uid` is then None until an
    archive has told it. `images` is a digest of the images that the EHR lists, `listed` whether it still lists the
    exam under this patient.
    """

    __tablename__ = "exam"
    __table_args__ = (
        UniqueConstraint("ehr", "key", name="exam_once_in_each_ehr"),
        Index("exam_of_patient", "ehr", "patient_id"),
        Index("exam_of_study", "study_uid"),
    )

    id: int | None = Field(default=None, primary_key=True)
    ehr: str
    patient_id: str
    key: str
    study_uid: str | None = None
    accession_number: str | None = None
    imaging_study: str | None = None
    performed_on: date | None = None
    dicomweb_root: str | None = None
    patient_identifiers: list[str] = _json_list()
    source: ExamSource = Field(default=ExamSource.EHR, sa_type=AutoString)
    images: str | None = None
    listed: bool = True
    first_seen_at: datetime = Field(sa_type=UtcDateTime)


class ScoringState(StrEnum):
    """Where an exam is on its way to a score."""

    QUEUED = "queued"
    SCORED = "scored"
    REFUSED = "refused"


class Priority(IntEnum):
    """Which exams that wait are scored first: those of a lower number."""

    URGENT = 0
    """A hook asks for it."""
    NEW = 1
    """It came by itself, or was changed."""
    BACKLOG = 2
    """It was known before, and only the model is new, or what the site lets be scored."""


class Scoring(SQLModel, table=True):
    """The errand of scoring one exam with one model: the queue, and why an exam has no score.

    `finished_at` is when the last attempt ended, None before the first; `claimed_until` is set while one is under way,
    and `lost` counts the workers that ended without a word while they had it, one after the other. `score_id` is the
    score it led to, `assessed_at` when the patient's assessment took that into account.
    """

    __tablename__ = "scoring"
    __table_args__ = (
        UniqueConstraint("exam_id", "model", name="scoring_exam_id_model_key"),
        Index("scoring_queue", "model", "state", "priority", "due_at", "id"),
        Index("scoring_finished", "model", "finished_at"),
        _where("scoring_unassessed", "model", "exam_id", condition="assessed_at IS NULL AND state <> 'queued'"),
        # Errands are deleted, also while a worker has them: by itself SQLite would give the last one's id to the next.
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    exam_id: int = Field(sa_column=Column(ForeignKey("exam.id"), nullable=False))
    model: str
    state: ScoringState = Field(default=ScoringState.QUEUED, sa_type=AutoString)
    priority: Priority = Field(default=Priority.NEW, sa_type=Integer)
    queued_at: datetime = Field(sa_type=UtcDateTime)
    due_at: datetime = Field(sa_type=UtcDateTime)
    attempts: int = 0
    claimed_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    lost: int = 0
    problem: str | None = None
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    exclusions: list[dict[str, Any]] = _json_list()
    score_id: int | None = Field(default=None, sa_column=Column(ForeignKey("score.id"), nullable=True))
    assessed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Stage(StrEnum):
    """What a worker does with an exam, in this order."""

    FETCH = "fetch"
    PREPARE = "prepare"
    SCORE = "score"
    STORE = "store"


class StageTime(SQLModel, table=True):
    """How long one stage of scoring took on one day (UTC) in all workers together, and for how many exams."""

    __tablename__ = "stage_time"

    model: str = Field(primary_key=True)
    stage: Stage = Field(sa_type=AutoString, primary_key=True)
    day: date = Field(primary_key=True)
    seconds: float
    exams: int


class Score(SQLModel, table=True):
    """One score of one set of images by one model version: written once, never changed.

    `images_digest` stands for the pixels it was made from: a study whose images changed gets another score.
    """

    __tablename__ = "score"
    __table_args__ = (UniqueConstraint("study_uid", "model", "images_digest", name="score_once_for_each_images"),)

    id: int | None = Field(default=None, primary_key=True)
    study_uid: str
    model: str
    images_digest: str
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
    images: list[dict[str, str]] = _json_list()
    processor: str = ""
    software: str = ""
    warnings: list[str] = _json_list()
    scored_at: datetime = Field(sa_type=UtcDateTime)


class Assessment(SQLModel, table=True):
    """What was concluded of a patient at one of her exams: the RiskAssessment, in revisions that are never changed.

    `identifier` is the RiskAssessment's own, `current` marks the patient's newest conclusion by this model.
    """

    __tablename__ = "assessment"
    __table_args__ = (
        UniqueConstraint("ehr", "identifier", "revision", name="assessment_revision"),
        Index("assessment_of_patient", "ehr", "patient_id"),
        # As each database spells the condition of a query: SQLite does not see that they are the same.
        Index(
            "assessment_current",
            "model",
            "five_year",
            sqlite_where=text("current = 1"),
            postgresql_where=text("current"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    ehr: str
    patient_id: str
    study_uid: str
    model: str
    identifier: str
    revision: int
    status: str
    current: bool
    performed_on: date
    five_year: float
    over_threshold: bool
    newly_over: bool
    rising: bool
    change: float | None = None
    years: float = 0.0
    resource: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    made_at: datetime = Field(sa_type=UtcDateTime)


class OutboxState(StrEnum):
    """Where something written is on its way to a system outside. `overtaken`: a newer revision went instead."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    DEAD = "dead"
    OVERTAKEN = "overtaken"


class Destination(StrEnum):
    """Where an assessment is sent: the EHR's chart, or the archive as a structured report."""

    CHART = "chart"
    REPORT = "report"


class Outbox(SQLModel, table=True):
    """One delivery of one assessment, queued in the transaction that made the assessment.

    `claimed_until` is set while somebody is at it; `reference` is the resource that the EHR made of it, or the report's
    UID.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("assessment_id", "destination", name="outbox_once_for_each_destination"),
        Index("outbox_queue", "state", "due_at", "id"),
        Index("outbox_finished", "finished_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    assessment_id: int = Field(sa_column=Column(ForeignKey("assessment.id"), nullable=False))
    destination: Destination = Field(sa_type=AutoString)
    state: OutboxState = Field(default=OutboxState.QUEUED, sa_type=AutoString)
    due_at: datetime = Field(sa_type=UtcDateTime)
    attempts: int = 0
    claimed_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    problem: str | None = None
    reference: str | None = None
    queued_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class NewCard(SQLModel):
    """A card as a call was answered, or would have been: `withheld` says why the EHR did not get it.

    `kind`, `detail` and `reasoning` are empty for cards from before they were kept.
    """

    uuid: str = Field(primary_key=True)
    ehr: str
    patient_id: str
    service: str
    kind: str = ""
    summary: str
    detail: str = ""
    indicator: str
    withheld: str | None = None
    study_uid: str | None = None
    suggestions: list[dict[str, Any]] = _json_list()
    reasoning: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    made_at: datetime = Field(sa_type=UtcDateTime)


class ShownCard(NewCard, table=True):
    """A card that is kept. A call does not make one, as SQLAlchemy would follow each of its changes."""

    __tablename__ = "card"
    __table_args__ = (Index("card_of_patient", "ehr", "patient_id"), Index("card_made", "made_at"))


class Feedback(SQLModel, table=True):
    """What a clinician did with a card, as the EHR reports it."""

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("card", "outcome", "outcome_at", name="feedback_once"),)

    id: int | None = Field(default=None, primary_key=True)
    card: str = Field(sa_column=Column(ForeignKey("card.uuid"), nullable=False))
    outcome: str
    outcome_at: str
    accepted: list[str] = _json_list()
    override_reason: str | None = None
    comment: str | None = None
    received_at: datetime = Field(sa_type=UtcDateTime)


class SeenToken(SQLModel, table=True):
    """A caller's token that was accepted once, by the digest of its `jti`, until it would have expired by itself."""

    __tablename__ = "seen_token"
    __table_args__ = (Index("seen_token_until", "until"),)

    issuer: str = Field(primary_key=True)
    jti: str = Field(primary_key=True)
    until: datetime = Field(sa_type=UtcDateTime)


class Run(SQLModel, table=True):
    """One run over the site and its summary; `finished_at` is None for one under way or killed."""

    __tablename__ = "run"

    id: int | None = Field(default=None, primary_key=True)
    model: str
    started_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    found: int = 0
    scored: int = 0
    refused: dict[str, int] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    failed: dict[str, int] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    written: int = 0
    problems: list[str] = _json_list()
    cleared: dict[str, int] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class Lease(SQLModel, table=True):
    """Who does what only one may do, and until when, if it does not say that it goes on."""

    __tablename__ = "lease"

    name: str = Field(primary_key=True)
    holder: str
    until: datetime = Field(sa_type=UtcDateTime)


class Watermark(SQLModel, table=True):
    """Up to which moment, by its own clock, everything that a source has changed is safely stored."""

    __tablename__ = "watermark"

    source: str = Field(primary_key=True)
    moment: datetime = Field(sa_type=UtcDateTime)


class Arrival(SQLModel, table=True):
    """A study as an archive lists it: since when its number of objects stands still, and whether that was acted on.

    `images` is a digest of its mammograms when it was last acted on.
    """

    __tablename__ = "arrival"

    study_uid: str = Field(primary_key=True)
    instances: int
    unchanged_since: datetime = Field(sa_type=UtcDateTime)
    taken: bool = False
    images: str | None = None


class Audit(SQLModel, table=True):
    """What was done with patients' data, in order and without a gap; rows are only ever added.

    `digest` is the SHA-256 of everything else in the row, `previous` that of the row before. `user_id` is whom the EHR
    named, `call` what is told of a call over HTTP.
    """

    __tablename__ = "audit"
    __table_args__ = (Index("audit_of_patient", "ehr", "patient_id"),)

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_type=UtcDateTime)
    action: str
    outcome: str
    ehr: str | None = None
    patient_id: str | None = None
    study_uid: str | None = None
    user_id: str | None = None
    call: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    detail: str = ""
    previous: str
    digest: str


class AuditHead(SQLModel, table=True):
    """The one row that says how far the trail goes, and that all who add to it lock; its number never falls."""

    __tablename__ = "audit_head"

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    number: int
    digest: str
