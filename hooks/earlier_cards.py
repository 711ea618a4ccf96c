"""What the EHR was shown for a patient before, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True)
class EarlierCard:
    """A card that was shown: its kind, the exam it was about, and when it was made.

    `overridden_on` is the clinic's day of the last override for which the clinician gave a reason, None without one.
    """

    kind: str
    study_uid: str | None = field(repr=False)
    shown_at: datetime
    overridden_on: date | None = None
