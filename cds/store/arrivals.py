"""What archives list: which studies have come to rest, and which of those have changed since."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlmodel import Session

from cds.store.database import insert_into
from cds.store.tables import Arrival


class ArrivalRecords:
    """The arrivals of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def see(self, study_uid: str, instances: int, now: datetime) -> timedelta | None:
        """Note how many objects a study has now; for how long it has been so, or None where this was acted on."""
        with Session(self._engine) as session:
            seen = session.get(Arrival, study_uid)
            if seen is None or seen.instances != instances or seen.unchanged_since > now:
                changed = {"instances": instances, "unchanged_since": now, "taken": False}
                insert = insert_into(session, Arrival).values(study_uid=study_uid, **changed)
                # Another process may have seen it first a moment ago.
                session.execute(insert.on_conflict_do_update(index_elements=["study_uid"], set_=changed))
                session.commit()
                return timedelta()
            return None if seen.taken else now - seen.unchanged_since

    def images(self, study_uid: str) -> str | None:
        """The images with which a study was last acted on; None where it never was."""
        with Session(self._engine) as session:
            return session.get_one(Arrival, study_uid).images

    def take(self, study_uid: str, images: str) -> None:
        """Note that a study was acted on with these images, once all that follows from them is stored."""
        with Session(self._engine) as session:
            seen = session.get_one(Arrival, study_uid)
            seen.images, seen.taken = images, True
            session.commit()
