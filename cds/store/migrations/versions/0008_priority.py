"""What waits for a new model is scored after what is new, and no errand gets the id that another one had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

URGENT, NEW, BACKLOG = 0, 1, 2
_WAITS = "UPDATE scoring SET priority = {} WHERE state = 'queued' AND "
_OF_ANOTHER_MODEL = (
    "EXISTS (SELECT 1 FROM scoring AS other WHERE other.exam_id = scoring.exam_id AND other.id < scoring.id)"
)


def upgrade() -> None:
    """What waits for one model and was queued for another before is backlog, unless a hook has asked for it."""
    op.drop_index("scoring_queue", "scoring")
    with op.batch_alter_table("scoring") as scoring:
        # Of what does not wait it says nothing. PostgreSQL would leave the old row of each that is changed in the index
        # for a while, and every claim would have to step over them: so the longest queue keeps the default.
        scoring.add_column(sa.Column("priority", sa.Integer, nullable=False, server_default=str(BACKLOG)))
    op.execute(f"{_WAITS.format(URGENT)} urgent")
    op.execute(f"{_WAITS.format(NEW)} NOT urgent AND NOT {_OF_ANOTHER_MODEL}")
    # By itself SQLite gives the id of a last row that was deleted to the next one.
    with op.batch_alter_table("scoring", table_kwargs={"sqlite_autoincrement": True}) as scoring:
        scoring.drop_column("urgent")
        # A default only let the old rows in: from here on every row says it itself.
        scoring.alter_column("priority", existing_type=sa.Integer, server_default=None)
    op.create_index("scoring_queue", "scoring", ["model", "state", "priority", "due_at", "id"])
    if op.get_bind().dialect.name == "postgresql":
        # Claims step over the rows that have gone since the last vacuum: by default those of a fifth of the table.
        op.execute("ALTER TABLE scoring SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000)")
