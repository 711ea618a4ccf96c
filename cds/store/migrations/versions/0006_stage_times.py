"""How long the stages of scoring take, day by day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Nothing is known of the days before."""
    op.create_table(
        "stage_time",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("stage", sa.String, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("exams", sa.Integer, nullable=False),
    )
