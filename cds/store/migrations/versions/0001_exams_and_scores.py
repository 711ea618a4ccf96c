"""Exams, the queue, scores: the layout before databases carried a revision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "exam",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("ehr", sa.String, nullable=False),
        sa.Column("patient_id", sa.String, nullable=False),
        sa.Column("study_uid", sa.String, nullable=False),
        sa.Column("accession_number", sa.String),
        sa.Column("imaging_study", sa.String),
        sa.Column("performed_on", sa.Date),
        sa.Column("dicomweb_root", sa.String),
        sa.Column("patient_identifiers", sa.JSON, nullable=False),
        sa.Column("first_seen_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("ehr", "study_uid"),
    )
    op.create_index("exam_of_patient", "exam", ["ehr", "patient_id"])
    op.create_table(
        "scoring",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("exam_id", sa.Integer, sa.ForeignKey("exam.id"), nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("urgent", sa.Boolean, nullable=False),
        sa.Column("queued_at", sa.DateTime, nullable=False),
        sa.Column("due_at", sa.DateTime, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("problem", sa.String),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("exclusions", sa.JSON, nullable=False),
        sa.UniqueConstraint("exam_id", "model"),
    )
    op.create_index("scoring_queue", "scoring", ["model", "state", "urgent", "due_at"])
    op.create_table(
        "score",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study_uid", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("model_name", sa.String, nullable=False),
        sa.Column("weights", sa.String, nullable=False),
        sa.Column("preprocessing", sa.String, nullable=False),
        sa.Column("calibration", sa.String, nullable=False),
        sa.Column("clinical", sa.Boolean, nullable=False),
        sa.Column("performed_on", sa.Date, nullable=False),
        sa.Column("calibrated", sa.JSON, nullable=False),
        sa.Column("raw", sa.JSON, nullable=False),
        sa.Column("manufacturer", sa.String, nullable=False),
        sa.Column("device_model", sa.String, nullable=False),
        sa.Column("software_versions", sa.String, nullable=False),
        sa.Column("image_type", sa.String, nullable=False),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("scored_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("study_uid", "model"),
    )
