"""Callers' tokens that were accepted once, so that none is accepted twice by any process."""

from __future__ import annotations

import hashlib
import itertools
import logging
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, select

from cds.store.database import insert_into
from cds.store.shared_commit import SharedCommit
from cds.store.tables import SeenToken

log = logging.getLogger(__name__)

CLEARED_EVERY = 200
"""Tokens that one process remembers between two clearings."""
CLEARED_AT_ONCE = 1000
"""More than come in between, so that old ones never pile up."""
KEPT_LONGER = timedelta(minutes=10)
"""The clock of another process may be behind, and would still accept what is gone from here."""


class SeenTokens:
    """The tokens of one database. Safe for several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shared = SharedCommit(engine)
        self._numbers = itertools.count(1)

    def remember(self, issuer: str, jti: str, until: datetime, now: datetime) -> bool:
        """Remember a token at least until this moment; False where it was seen before."""

        def insert(connection: Connection) -> bool:
            new = insert_into(connection, SeenToken).values(issuer=issuer, jti=_digest(jti), until=until)
            made = connection.execute(new.on_conflict_do_nothing().returning(col(SeenToken.jti)))
            return made.first() is not None

        is_new = self._shared.write(insert)
        if next(self._numbers) % CLEARED_EVERY == 0:
            self._clear(now)
        return is_new

    def _clear(self, now: datetime) -> None:
        """Drop some of those whose time is long over; a call never fails because of it."""
        key = (col(SeenToken.issuer), col(SeenToken.jti))
        old = (
            select(*key)
            .where(col(SeenToken.until) < now - KEPT_LONGER)
            .order_by(col(SeenToken.until))
            .limit(CLEARED_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        try:
            with Session(self._engine) as session:
                session.execute(delete(SeenToken).where(tuple_(*key).in_(old)))
                session.commit()
        except SQLAlchemyError as fault:
            log.warning("old tokens could not be cleared: %s", type(fault).__name__)


def _digest(jti: str) -> str:
    # Whatever characters it has, and however many; half a surrogate pair, which JSON can carry, among them.
    return hashlib.sha256(jti.encode("utf-8", "surrogatepass")).hexdigest()
