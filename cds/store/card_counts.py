"""How many cards were made, shown, accepted and overridden, and for which reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine, func
from sqlmodel import Session, col, select

from cds.store.tables import Feedback, ShownCard
from hooks.site import DEFAULT_OVERRIDE_REASONS

OTHER_REASON = "other"
"""A code that no card of ours offers: an EHR may put anything there, also what a clinician typed."""
_OFFERED = {"", *(reason.code for reason in DEFAULT_OVERRIDE_REASONS)}


@dataclass
class CardCounts:
    """The cards of one kind; a card that was both accepted and overridden counts in both.

    `withheld` is by why they were not shown, `reasons` are the codes with which cards were overridden, "" without one;
    a card that was overridden again for another reason counts under both.
    """

    shown: int = 0
    accepted: int = 0
    overridden: int = 0
    withheld: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)


def count_cards(engine: Engine, since: datetime | None = None) -> dict[str, CardCounts]:
    """The cards made since a moment, by their kind; counted by the database."""
    counts: dict[str, CardCounts] = {}
    made = [col(ShownCard.made_at) >= since] if since else []
    cards = select(ShownCard.kind, ShownCard.withheld, func.count()).where(*made)
    cards_with, why = func.count(col(ShownCard.uuid).distinct()), col(Feedback.override_reason)
    done = (
        select(ShownCard.kind, Feedback.outcome, cards_with)
        .join(Feedback, col(Feedback.card) == ShownCard.uuid)
        .where(*made)
        .group_by(ShownCard.kind, Feedback.outcome)
    )
    overridden = (
        select(ShownCard.kind, why, cards_with)
        .join(Feedback, col(Feedback.card) == ShownCard.uuid)
        .where(*made, Feedback.outcome == "overridden")
        .group_by(ShownCard.kind, why)
    )
    with Session(engine) as session:
        for kind, withheld, count in session.exec(cards.group_by(ShownCard.kind, col(ShownCard.withheld))):
            of_kind = counts.setdefault(kind, CardCounts())
            if withheld is None:
                of_kind.shown += count
            else:
                of_kind.withheld[withheld] += count
        for kind, outcome, count in session.exec(done):
            if outcome == "accepted":
                counts[kind].accepted = count
            else:
                counts[kind].overridden = count
        for kind, reason, count in session.exec(overridden):
            told = reason or ""
            counts[kind].reasons[told if told in _OFFERED else OTHER_REASON] += count
    return counts
