"""The audit trail as a chain: numbers without a gap, a digest over each entry and the one before, a head, guards."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import sqlalchemy as sa
from alembic import op

from cds.store.audit_chain import EMPTY, Head, chained

revision = "0004"
down_revision = "0003"

AT_A_TIME = 1000
AUDIT = sa.table(
    "audit",
    sa.column("number", sa.Integer),
    sa.column("at", sa.DateTime),
    *(sa.column(name, sa.String) for name in ("action", "outcome", "ehr", "patient_id", "study_uid", "detail")),
    *(sa.column(name, sa.String) for name in ("previous", "digest")),
)
HEAD = sa.table("audit_head", sa.column("id"), sa.column("number"), sa.column("digest"))

# Whoever can drop a trigger can also change a row; these keep a careless hand off.
# SQLite's REPLACE removes a row without any DELETE trigger, so what it would replace is looked for.
SQLITE_GUARDS = (
    "CREATE TRIGGER audit_never_changed BEFORE UPDATE ON audit BEGIN "
    "SELECT RAISE(ABORT, 'the audit trail is only ever added to'); END",
    "CREATE TRIGGER audit_never_deleted BEFORE DELETE ON audit BEGIN "
    "SELECT RAISE(ABORT, 'the audit trail is only ever added to'); END",
    "CREATE TRIGGER audit_never_replaced BEFORE INSERT ON audit "
    "WHEN EXISTS (SELECT 1 FROM audit WHERE number = NEW.number) BEGIN "
    "SELECT RAISE(ABORT, 'the audit trail is only ever added to'); END",
    "CREATE TRIGGER audit_head_never_back BEFORE UPDATE ON audit_head WHEN NEW.number < OLD.number BEGIN "
    "SELECT RAISE(ABORT, 'the head of the audit trail only goes on'); END",
    "CREATE TRIGGER audit_head_never_deleted BEFORE DELETE ON audit_head BEGIN "
    "SELECT RAISE(ABORT, 'the head of the audit trail only goes on'); END",
)
POSTGRESQL_GUARDS = (
    "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit trail is only ever added to'; END $$",
    "CREATE TRIGGER audit_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
    "CREATE TRIGGER audit_head_never_back BEFORE UPDATE ON audit_head "
    "FOR EACH ROW WHEN (NEW.number < OLD.number) EXECUTE FUNCTION audit_refuse()",
    "CREATE TRIGGER audit_head_never_deleted BEFORE DELETE OR TRUNCATE ON audit_head "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
)
GUARDS = {"sqlite": SQLITE_GUARDS, "postgresql": POSTGRESQL_GUARDS}


def upgrade() -> None:
    """Chain the entries that are there in their order. A later step that makes the table anew must guard it again."""
    _widen()
    head = _chain()
    _narrow()
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
    )
    op.bulk_insert(HEAD, [{"id": 1, "number": head.number, "digest": head.digest}])
    for guard in GUARDS[op.get_context().dialect.name]:
        op.execute(guard)


def _widen() -> None:
    with op.batch_alter_table("audit") as audit:
        audit.alter_column(
            "id", new_column_name="number", existing_type=sa.Integer, existing_nullable=False, server_default=None
        )
        audit.alter_column("ehr", existing_type=sa.String, nullable=True)
        audit.alter_column("patient_id", existing_type=sa.String, nullable=True)
        audit.add_column(sa.Column("outcome", sa.String, nullable=False, server_default="success"))
        audit.add_column(sa.Column("user_id", sa.String))
        audit.add_column(sa.Column("call", sa.JSON))
        audit.add_column(sa.Column("previous", sa.String, nullable=False, server_default=""))
        audit.add_column(sa.Column("digest", sa.String, nullable=False, server_default=""))
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP SEQUENCE audit_id_seq")


def _chain() -> Head:
    """Number and chain the entries, never all of them in memory. Numbers only fall, so none is ever taken twice."""
    head, last = EMPTY, -1
    while rows := _entries(last):
        for old, new in zip(rows, chained(rows, head), strict=True):
            links = {name: new[name] for name in ("number", "previous", "digest")}
            op.get_bind().execute(AUDIT.update().where(AUDIT.c.number == old["number"]).values(links))
            head, last = Head(new["number"], new["digest"]), old["number"]
    return head


def _entries(after: int) -> list[dict[str, Any]]:
    query = sa.select(AUDIT).where(AUDIT.c.number > after).order_by(AUDIT.c.number).limit(AT_A_TIME)
    return [{**row, "at": row["at"].replace(tzinfo=UTC)} for row in op.get_bind().execute(query).mappings()]


def _narrow() -> None:
    with op.batch_alter_table("audit") as audit:
        # A default only let the old rows in: from here on every row says it itself.
        for name in ("outcome", "previous", "digest"):
            audit.alter_column(name, existing_type=sa.String, server_default=None)
