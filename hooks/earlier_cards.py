"""What the EHR was shown for a patient before, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True)
class EarlierCard:
    """A card that was shown: its kind, the exam it was about, and when it was made.

    `overridden_on` is the clinic's day of the last override for which the clinician gave a reason, None without one,
    and `override_reason` the code of it, None where it was given in words alone. `refusal` is why the exam could not be
    scored, as it is kept in the card's reasoning.
    """

    kind: str
    study_uid: str | None = field(repr=False)
    shown_at: datetime
    overridden_on: date | None = None
    override_reason: str | None = None
    refusal: str | None = None
