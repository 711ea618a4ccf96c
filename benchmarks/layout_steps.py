"""How long a large database takes from one layout to the next."""

from __future__ import annotations

import time

from sqlalchemy import Engine, text

from tests.cds.store.layouts import laid_out

STEPS = ("0007", "0008")
"""Those that touch the tables of many rows."""
_BACK = (
    "DROP INDEX scoring_queue",
    "ALTER TABLE scoring ADD COLUMN urgent boolean NOT NULL DEFAULT false",
    "UPDATE scoring SET urgent = true WHERE state = 'queued' AND priority = 0",
    "ALTER TABLE scoring ALTER COLUMN urgent DROP DEFAULT, DROP COLUMN priority",
    "ALTER TABLE scoring RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)",
    "CREATE INDEX scoring_queue ON scoring (model, state, urgent, due_at)",
    "DROP INDEX outbox_queue",
    "CREATE INDEX outbox_queue ON outbox (state, due_at)",
    "DROP INDEX outbox_finished",
    "DROP INDEX assessment_current",
    "CREATE INDEX assessment_current ON assessment (model, five_year) WHERE current",
    "DROP INDEX card_made",
    "ALTER TABLE run DROP COLUMN cleared",
    "UPDATE alembic_version SET version_num = '0006'",
)
"""To layout 0006 on PostgreSQL; the product's own steps lead only forward."""


def step_seconds(engine: Engine) -> dict[str, float]:
    """Seconds of each step of a PostgreSQL database that is first taken back to the layout before them."""
    with engine.begin() as connection:
        for statement in _BACK:
            connection.execute(text(statement))
    return {revision: _seconds(engine, revision) for revision in STEPS}


def _seconds(engine: Engine, revision: str) -> float:
    started_s = time.perf_counter()
    with laid_out(engine, revision):
        return time.perf_counter() - started_s
