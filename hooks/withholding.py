"""Which cards are made and recorded, but not sent, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from hooks.call import Call
from hooks.contract import Card, Withheld
from hooks.earlier_cards import EarlierCard
from hooks.site import Mode


def withholding(card: Card, call: Call, *, says_nothing_new: bool = False) -> Card:
    """The card, marked with the reason if it must not be sent.

    Silence comes last, so that in silent mode the record tells what would have been shown.
    """
    if _is_overridden(card, call.earlier, call.today, call.site.quiet_days_after_override):
        return replace(card, withheld=Withheld.OVERRIDDEN)
    if says_nothing_new:
        return replace(card, withheld=Withheld.NOTHING_NEW)
    return replace(card, withheld=Withheld.SILENT) if call.site.mode is Mode.SILENT else card


def was_shown_before(card: Card, earlier: tuple[EarlierCard, ...]) -> bool:
    """Whether the EHR was shown a card of this kind for the same exam."""
    return any(_is_of_one_matter(card, one) for one in earlier)


def _is_overridden(card: Card, earlier: tuple[EarlierCard, ...], today: date, quiet_days: int) -> bool:
    """Whether a clinician overrode this card with a reason, and not long ago."""
    ends = today - timedelta(days=quiet_days)
    days = [one.overridden_on for one in earlier if _is_of_one_matter(card, one)]
    return any(day > ends for day in days if day)


def _is_of_one_matter(card: Card, earlier: EarlierCard) -> bool:
    """A card about no exam that is known says each time that something could not be looked at."""
    return card.study_uid is not None and (earlier.kind, earlier.study_uid) == (card.kind, card.study_uid)
