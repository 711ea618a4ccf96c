"""What the EHR was shown for a patient before, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True)
class EarlierCard:
    """A card that was shown: its kind and the exam it was about.

    `overridden_on` is the day of the last override for which the clinician gave a reason, None without one.
    """

    kind: str
    study_uid: str | None = field(repr=False)
    shown_on: date
    overridden_on: date | None = None
