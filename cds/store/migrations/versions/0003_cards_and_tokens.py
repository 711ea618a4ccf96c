"""What a card said, which kind it was and why it was withheld; callers' tokens that were accepted once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Keep every card; of the old ones nothing more can be told than that silent mode withheld them."""
    with op.batch_alter_table("card") as card:
        card.add_column(sa.Column("kind", sa.String, nullable=False, server_default=""))
        card.add_column(sa.Column("detail", sa.String, nullable=False, server_default=""))
        card.add_column(sa.Column("withheld", sa.String))
    op.execute(sa.text("UPDATE card SET withheld = 'silent' WHERE NOT shown"))
    with op.batch_alter_table("card") as card:
        card.drop_column("shown")
        # A default only let the old rows in: from here on every row says it itself.
        card.alter_column("kind", existing_type=sa.String, server_default=None)
        card.alter_column("detail", existing_type=sa.String, server_default=None)
    op.create_table(
        "seen_token",
        sa.Column("issuer", sa.String, primary_key=True),
        sa.Column("jti", sa.String, primary_key=True),
        sa.Column("until", sa.DateTime, nullable=False),
    )
    op.create_index("seen_token_until", "seen_token", ["until"])
