"""Which cards are made and recorded, but not sent, and why."""

from __future__ import annotations

from dataclasses import replace

from hooks.call import Call
from hooks.cards import CardKind
from hooks.contract import Card, Withheld
from hooks.earlier_cards import EarlierCard
from hooks.exams import latest_scored
from hooks.site import Mode, Site

# "Could not look" is never silence: who opens the chart must not take it for "nothing to say".
ALWAYS_SAID = frozenset({CardKind.EXAMS_UNREAD, CardKind.HELD, CardKind.UNDER_WAY})


DECIDE_LATER = "decide-later"
"""The override reason that is none against the card: it rests for that day, with whatever else is ordered on it."""


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
    return any(
        (call.today - one.overridden_on).days < _quiet_days(one, call.site)
        for one in _of_one_matter(card, call)
        if one.overridden_on
    )


def _quiet_days(overridden: EarlierCard, site: Site) -> int:
    days = site.quiet_days_after_override
    return min(days, 1) if overridden.override_reason == DECIDE_LATER else days


def _of_one_matter(card: Card, call: Call) -> tuple[EarlierCard, ...]:
    """What was shown before of the card's exam; none where the judged score has been made since.

    An exam that cannot be scored for other reasons than before is another matter; reasons that were not kept count as
    the same. A card about no exam that is known says each time that something could not be looked at.
    """
    if card.study_uid is None:
        return ()
    judged, matter = latest_scored(call.assessment), (card.kind, card.study_uid)
    return tuple(
        one
        for one in call.earlier
        if (one.kind, one.study_uid) == matter
        and one.refusal in (None, card.reasoning.refusal)
        and (judged is None or judged.scored_at <= one.shown_at)
    )
