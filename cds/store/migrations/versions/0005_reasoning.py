"""Beside each card the policy's reasoning, so that a page can show it as it was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Of the cards from before nothing more can be told."""
    with op.batch_alter_table("card") as card:
        card.add_column(sa.Column("reasoning", sa.JSON, nullable=False, server_default="{}"))
    with op.batch_alter_table("card") as card:
        # A default only let the old rows in: from here on every row says it itself.
        card.alter_column("reasoning", existing_type=sa.JSON, server_default=None)
