"""The trail of what was done with patients' data, written in the transaction that does it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlmodel import Session

from cds.store.tables import Audit


class Action(StrEnum):
    """What the trail tells of."""

    SCORED = "scored"
    REFUSED = "refused"
    MOVED = "moved"
    UNLISTED = "unlisted"
    ASSESSED = "assessed"
    RETRACTED = "retracted"
    WRITTEN = "written"


def note(
    session: Session, action: Action, now: datetime, ehr: str, patient_id: str, study_uid: str | None, detail: str = ""
) -> None:
    """Add one line to the trail; it is there if, and only if, the session's transaction is."""
    session.add(Audit(at=now, action=action, ehr=ehr, patient_id=patient_id, study_uid=study_uid, detail=detail))
