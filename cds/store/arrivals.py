"""What archives list: which studies have come to rest, and which of those have changed since."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlmodel import Session

from cds.store.tables import Arrival


class ArrivalRecords:
    """The arrivals of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def see(self, study_uid: str, instances: int, now: datetime, stable: timedelta) -> bool:
        """Note how many objects a study has now; whether it came to rest and this was not acted on yet."""
        with Session(self._engine) as session:
            seen = session.get(Arrival, study_uid)
            if seen is None or seen.instances != instances or seen.unchanged_since > now:
                images = seen.images if seen else None
                seen = Arrival(study_uid=study_uid, instances=instances, unchanged_since=now, images=images)
                session.merge(seen)
                session.commit()
            return not seen.taken and now - seen.unchanged_since >= stable

    def take(self, study_uid: str, images: str) -> str | None:
        """Note that a study was acted on with these images; returns the ones of the time before, None without."""
        with Session(self._engine) as session:
            seen = session.get_one(Arrival, study_uid)
            before, seen.images, seen.taken = seen.images, images, True
            session.commit()
            return before
