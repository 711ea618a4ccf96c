"""What clinicians did with cards, as EHRs report it (CDS Hooks 2.0.1, Feedback), read tolerantly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from fhir_mappings.elements import as_object, objects, storable
from hooks.request import ContractError

Outcome = Literal["accepted", "overridden"]
_OUTCOMES: tuple[Outcome, ...] = ("accepted", "overridden")

MOST_REPORTS = 1000
"""In one call: they are kept in one transaction, for which the calls of all EHRs wait."""
MOST_ACCEPTED = 100
"""Suggestions of one card; ours have two."""
LONGEST_TEXT = 255
"""Characters of an id, a code or a moment: they are kept under indexes, and a database takes no long text there."""
LONGEST_COMMENT = 10_000
"""Characters of the clinician's own words; what is beyond is left out."""


@dataclass(frozen=True)
class CardFeedback:
    """One card's outcome; `reason` is the code of the override reason, `comment` the clinician's own words."""

    card: str
    outcome: Outcome
    outcome_at: str
    accepted: tuple[str, ...] = ()
    reason: str | None = None
    comment: str | None = field(default=None, repr=False)


def read_feedback(body: object) -> tuple[tuple[CardFeedback, ...], tuple[ContractError, ...]]:
    """The reports of a feedback call, and what is wrong with those that cannot be told.

    Raises ContractError where there is no list of reports, or one too long to be taken at once.
    """
    reports = body.get("feedback") if isinstance(body, Mapping) else None
    if not isinstance(reports, list):
        raise ContractError("feedback is missing or not a list")
    if len(reports) > MOST_REPORTS:
        raise ContractError(f"feedback has more than {MOST_REPORTS} reports; send them in several calls")
    told, refused = [], []
    for report in reports:
        try:
            told.append(_report(report))
        except ContractError as error:
            refused.append(error)
    return tuple(told), tuple(refused)


def _report(report: object) -> CardFeedback:
    members = report if isinstance(report, Mapping) else {}
    card, moment, outcome = _said(members.get("card")), _said(members.get("outcomeTimestamp")), members.get("outcome")
    if card is None or moment is None:
        raise ContractError("feedback needs card and outcomeTimestamp, both text")
    if outcome not in _OUTCOMES:
        raise ContractError(f"feedback.outcome must be {' or '.join(_OUTCOMES)}")
    given = [_said(one.get("id")) for one in objects(members.get("acceptedSuggestions"))]
    ids = tuple(one for one in given if one is not None)
    return _bounded(CardFeedback(card, outcome, moment, ids, *_why(members)))


def _bounded(told: CardFeedback) -> CardFeedback:
    """What is too long for a database is the fault of this report alone; of a clinician's words some are kept."""
    if len(told.accepted) > MOST_ACCEPTED:
        raise ContractError(f"feedback.acceptedSuggestions has more than {MOST_ACCEPTED} entries")
    texts = {"card": told.card, "outcomeTimestamp": told.outcome_at, "overrideReason.reason.code": told.reason}
    texts |= {"acceptedSuggestions.id": max(told.accepted, key=len, default=None)}
    for name, written in texts.items():
        if written is not None and len(written) > LONGEST_TEXT:
            raise ContractError(f"feedback.{name} is longer than {LONGEST_TEXT} characters")
    return replace(told, comment=told.comment and told.comment[:LONGEST_COMMENT])


def _why(report: Mapping[str, object]) -> tuple[str | None, str | None]:
    """The code and the words of an override, of several the first of each; an empty text is neither."""
    # Epic's examples write the key in the plural.
    reasons = [one for name in ("overrideReason", "overrideReasons") for one in objects(report.get(name))]
    codes = [_said(as_object(one.get("reason")).get("code")) for one in reasons]
    comments = [_said(one.get("userComment")) for one in reasons]
    return next(filter(None, codes), None), next(filter(None, comments), None)


def _said(value: object) -> str | None:
    """A text without the blanks around it, as it can be kept; None where there is none."""
    return storable(value).strip() or None if isinstance(value, str) else None
