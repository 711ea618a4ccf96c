"""Indexes for stores of a million exams, and with each run what it cleared away."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """The old runs have cleared nothing away."""
    for table, before in (("scoring", ["model", "state", "urgent"]), ("outbox", ["state"])):
        op.drop_index(f"{table}_queue", table)
        # With the id: many are due at the same moment, and are then taken in the order of their ids.
        op.create_index(f"{table}_queue", table, [*before, "due_at", "id"])
    op.create_index("outbox_finished", "outbox", ["finished_at"])
    op.drop_index("assessment_current", "assessment")
    op.create_index(
        "assessment_current",
        "assessment",
        ["model", "five_year"],
        # SQLite uses a partial index only for the very condition that a query has.
        sqlite_where=sa.text("current = 1"),
        postgresql_where=sa.text("current"),
    )
    op.create_index("card_made", "card", ["made_at"])
    with op.batch_alter_table("run") as run:
        run.add_column(sa.Column("cleared", sa.JSON, nullable=False, server_default="{}"))
    with op.batch_alter_table("run") as run:
        # A default only let the old rows in: from here on every row says it itself.
        run.alter_column("cleared", existing_type=sa.JSON, server_default=None)
