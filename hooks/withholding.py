"""Which cards are made and recorded, but not sent, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hooks.call import Call
from hooks.cards import CardKind
from hooks.contract import Card, Withheld
from hooks.earlier_cards import EarlierCard
from hooks.exams import latest_scored
from hooks.site import Mode

# "Could not look" is never silence: who opens the chart must not take it for "nothing to say".
ALWAYS_SAID = frozenset({CardKind.EXAMS_UNREAD, CardKind.HELD, CardKind.UNDER_WAY})


def withholding(card: Card, call: Call, *, says_nothing_new: bool = False) -> Card:
    """The card, marked with the reason if it must not be sent.

    Silence comes last, so that in silent mode the record tells what would have been shown.
    """
    if card.kind not in ALWAYS_SAID and _is_overridden(card, call):
        return replace(card, withheld=Withheld.OVERRIDDEN)
    if says_nothing_new:
        return replace(card, withheld=Withheld.NOTHING_NEW)
    return replace(card, withheld=Withheld.SILENT) if call.site.mode is Mode.SILENT else card


def was_shown_before(card: Card, call: Call) -> bool:
    """Whether the EHR was shown a card of this kind for the same exam and from the same score."""
    return bool(_of_one_matter(card, call))


def _is_overridden(card: Card, call: Call) -> bool:
    """Whether a clinician overrode this card with a reason, and not long ago."""
    ends = call.today - timedelta(days=call.site.quiet_days_after_override)
    days = [one.overridden_on for one in _of_one_matter(card, call)]
    return any(day > ends for day in days if day)


def _of_one_matter(card: Card, call: Call) -> tuple[EarlierCard, ...]:
    """What was shown before of the card's exam; none where the judged score has been made since.

    A card about no exam that is known says each time that something could not be looked at.
    """
    if card.study_uid is None:
        return ()
    judged, matter = latest_scored(call.assessment), (card.kind, card.study_uid)
    return tuple(
        one
        for one in call.earlier
        if (one.kind, one.study_uid) == matter and (judged is None or judged.scored_at <= one.shown_at)
    )
