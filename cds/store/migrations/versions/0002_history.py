"""Exams without a study UID, scores by their images, assessments, the outbox, cards, runs and the audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# The first layout left its constraints without names; PostgreSQL named them so, and SQLite is told to here.
NAMES = {"uq": "%(table_name)s_%(column_0_N_name)s_key"}


def upgrade() -> None:
    """Keep every exam, errand and score, and add the new tables."""
    _exams()
    _scores()
    _errands()
    _assessments()
    _cards()
    _runs()


def _exams() -> None:
    with op.batch_alter_table("exam", naming_convention=NAMES) as exam:
        exam.add_column(sa.Column("key", sa.String))
        exam.add_column(sa.Column("source", sa.String, nullable=False, server_default="ehr"))
        exam.add_column(sa.Column("images", sa.String))
        exam.add_column(sa.Column("listed", sa.Boolean, nullable=False, server_default=sa.true()))
        exam.drop_constraint("exam_ehr_study_uid_key", type_="unique")
    op.execute("UPDATE exam SET key = study_uid")
    with op.batch_alter_table("exam", naming_convention=NAMES) as exam:
        exam.alter_column("key", existing_type=sa.String, nullable=False)
        exam.alter_column("study_uid", existing_type=sa.String, nullable=True)
        # A default only let the old rows in: from here on every row says it itself.
        exam.alter_column("source", existing_type=sa.String, server_default=None)
        exam.alter_column("listed", existing_type=sa.Boolean, server_default=None)
        exam.create_unique_constraint("exam_once_in_each_ehr", ["ehr", "key"])
    op.create_index("exam_of_study", "exam", ["study_uid"])


def _scores() -> None:
    with op.batch_alter_table("score", naming_convention=NAMES) as score:
        score.add_column(sa.Column("images_digest", sa.String, nullable=False, server_default=""))
        score.add_column(sa.Column("images", sa.JSON, nullable=False, server_default="[]"))
        score.add_column(sa.Column("processor", sa.String, nullable=False, server_default=""))
        score.add_column(sa.Column("software", sa.String, nullable=False, server_default=""))
        score.drop_constraint("score_study_uid_model_key", type_="unique")
    with op.batch_alter_table("score") as score:
        score.alter_column("images_digest", existing_type=sa.String, server_default=None)
        score.alter_column("images", existing_type=sa.JSON, server_default=None)
        score.alter_column("processor", existing_type=sa.String, server_default=None)
        score.alter_column("software", existing_type=sa.String, server_default=None)
        score.create_unique_constraint("score_once_for_each_images", ["study_uid", "model", "images_digest"])


def _errands() -> None:
    with op.batch_alter_table("scoring", naming_convention=NAMES) as scoring:
        scoring.add_column(sa.Column("claimed_until", sa.DateTime))
        scoring.add_column(sa.Column("lost", sa.Integer, nullable=False, server_default="0"))
        scoring.add_column(sa.Column("score_id", sa.Integer))
        scoring.add_column(sa.Column("assessed_at", sa.DateTime))
        scoring.create_foreign_key("scoring_score_id_fkey", "score", ["score_id"], ["id"])
    with op.batch_alter_table("scoring", naming_convention=NAMES) as scoring:
        scoring.alter_column("lost", existing_type=sa.Integer, server_default=None)
    op.execute(
        "UPDATE scoring SET score_id = (SELECT score.id FROM score JOIN exam ON exam.study_uid = score.study_uid "
        "WHERE exam.id = scoring.exam_id AND score.model = scoring.model) WHERE state = 'scored'"
    )
    op.create_index("scoring_finished", "scoring", ["model", "finished_at"])
    unassessed = sa.text("assessed_at IS NULL AND state <> 'queued'")
    _partial_index("scoring_unassessed", "scoring", ["model", "exam_id"], unassessed)


def _assessments() -> None:
    op.create_table(
        "assessment",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("ehr", sa.String, nullable=False),
        sa.Column("patient_id", sa.String, nullable=False),
        sa.Column("study_uid", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("identifier", sa.String, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("current", sa.Boolean, nullable=False),
        sa.Column("performed_on", sa.Date, nullable=False),
        sa.Column("five_year", sa.Float, nullable=False),
        sa.Column("over_threshold", sa.Boolean, nullable=False),
        sa.Column("newly_over", sa.Boolean, nullable=False),
        sa.Column("rising", sa.Boolean, nullable=False),
        sa.Column("change", sa.Float),
        sa.Column("years", sa.Float, nullable=False),
        sa.Column("resource", sa.JSON, nullable=False),
        sa.Column("made_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("ehr", "identifier", "revision", name="assessment_revision"),
    )
    op.create_index("assessment_of_patient", "assessment", ["ehr", "patient_id"])
    _partial_index("assessment_current", "assessment", ["model", "five_year"], sa.text("current"))
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("assessment_id", sa.Integer, sa.ForeignKey("assessment.id"), nullable=False),
        sa.Column("destination", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("due_at", sa.DateTime, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("claimed_until", sa.DateTime),
        sa.Column("problem", sa.String),
        sa.Column("reference", sa.String),
        sa.Column("queued_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.UniqueConstraint("assessment_id", "destination", name="outbox_once_for_each_destination"),
    )
    op.create_index("outbox_queue", "outbox", ["state", "due_at"])


def _cards() -> None:
    op.create_table(
        "card",
        sa.Column("uuid", sa.String, primary_key=True),
        sa.Column("ehr", sa.String, nullable=False),
        sa.Column("patient_id", sa.String, nullable=False),
        sa.Column("service", sa.String, nullable=False),
        sa.Column("summary", sa.String, nullable=False),
        sa.Column("indicator", sa.String, nullable=False),
        sa.Column("shown", sa.Boolean, nullable=False),
        sa.Column("study_uid", sa.String),
        sa.Column("suggestions", sa.JSON, nullable=False),
        sa.Column("made_at", sa.DateTime, nullable=False),
    )
    op.create_index("card_of_patient", "card", ["ehr", "patient_id"])
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("card", sa.String, sa.ForeignKey("card.uuid"), nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("outcome_at", sa.String, nullable=False),
        sa.Column("accepted", sa.JSON, nullable=False),
        sa.Column("override_reason", sa.String),
        sa.Column("comment", sa.String),
        sa.Column("received_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("card", "outcome", "outcome_at", name="feedback_once"),
    )


def _runs() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("found", sa.Integer, nullable=False),
        sa.Column("scored", sa.Integer, nullable=False),
        sa.Column("refused", sa.JSON, nullable=False),
        sa.Column("failed", sa.JSON, nullable=False),
        sa.Column("written", sa.Integer, nullable=False),
        sa.Column("problems", sa.JSON, nullable=False),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("until", sa.DateTime, nullable=False),
    )
    op.create_table(
        "watermark",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("moment", sa.DateTime, nullable=False),
    )
    op.create_table(
        "arrival",
        sa.Column("study_uid", sa.String, primary_key=True),
        sa.Column("instances", sa.Integer, nullable=False),
        sa.Column("unchanged_since", sa.DateTime, nullable=False),
        sa.Column("taken", sa.Boolean, nullable=False),
        sa.Column("images", sa.String),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("ehr", sa.String, nullable=False),
        sa.Column("patient_id", sa.String, nullable=False),
        sa.Column("study_uid", sa.String),
        sa.Column("detail", sa.String, nullable=False),
    )
    op.create_index("audit_of_patient", "audit", ["ehr", "patient_id"])


def _partial_index(name: str, table: str, columns: list[str], condition: sa.TextClause) -> None:
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
