"""An open chart: what the service was asked, what it said, and what the clinician did with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock
from typing import Any

from cds.demo.ehr_page.decision_support import Consultation
from fhir_mappings.elements import objects

Json = dict[str, Any]


@dataclass(frozen=True)
class Decision:
    """What was done with a card; `problem` says why the service could not be told, None where it was.

    `suggestion` is the one that was accepted, None for an override; `comment` is what the clinician added to that.
    """

    card: str
    words: str
    at: datetime
    suggestion: str | None
    problem: str | None
    comment: str = ""


@dataclass
class Visit:
    """One patient's chart while it is open. Whoever changes it holds its lock.

    `signed` is how many orders were signed since the service was last asked.
    """

    patient_id: str
    consultations: list[Consultation] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    signed: int = 0
    lock: RLock = field(default_factory=RLock)

    @property
    def latest(self) -> Consultation | None:
        """The call whose cards are on the screen."""
        return self.consultations[-1] if self.consultations else None

    def card(self, card_id: str) -> Json | None:
        """A card on the screen."""
        return next((card for card in self.latest.cards if card["uuid"] == card_id), None) if self.latest else None

    def suggestion(self, card_id: str, suggestion_id: str) -> Json | None:
        """A suggestion of a card on the screen."""
        offered = objects((self.card(card_id) or {}).get("suggestions", []))
        return next((one for one in offered if one["uuid"] == suggestion_id), None)

    def of(self, card_id: str) -> list[Decision]:
        """What was done with a card."""
        return [decision for decision in self.decisions if decision.card == card_id]

    def is_open(self, card_id: str, suggestion_id: str | None = None) -> bool:
        """Whether a card, or this suggestion of it, still awaits a decision."""
        done = self.of(card_id)
        if suggestion_id is None:
            return not done
        return all(decision.suggestion not in (None, suggestion_id) for decision in done)
