"""How many cards were made, shown, accepted and overridden, and for which reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine, func
from sqlmodel import Session, col, select

from cds.store.tables import Feedback, ShownCard


@dataclass
class CardCounts:
    """The cards of one kind; a card that was both accepted and overridden counts in both.

    `withheld` is by why they were not shown, `reasons` are the codes with which cards were overridden, "" without one.
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
    done = (
        select(ShownCard.kind, Feedback.outcome, Feedback.override_reason, func.count(col(ShownCard.uuid).distinct()))
        .join(Feedback, col(Feedback.card) == ShownCard.uuid)
        .where(*made)
        .group_by(ShownCard.kind, Feedback.outcome, col(Feedback.override_reason))
    )
    with Session(engine) as session:
        for kind, withheld, count in session.exec(cards.group_by(ShownCard.kind, col(ShownCard.withheld))):
            of_kind = counts.setdefault(kind, CardCounts())
            if withheld is None:
                of_kind.shown += count
            else:
                of_kind.withheld[withheld] += count
        for kind, outcome, reason, count in session.exec(done):
            if outcome == "accepted":
                counts[kind].accepted += count
            else:
                counts[kind].overridden += count
                counts[kind].reasons[reason or ""] += count
    return counts
