"""What clinicians did with cards, as EHRs report it (CDS Hooks 2.0.1, Feedback), read tolerantly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fhir_mappings.elements import storable
from hooks.request import ContractError

Outcome = Literal["accepted", "overridden"]
_OUTCOMES: tuple[Outcome, ...] = ("accepted", "overridden")


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

    Raises ContractError where there is no list of reports.
    """
    reports = body.get("feedback") if isinstance(body, Mapping) else None
    if not isinstance(reports, list):
        raise ContractError("feedback is missing or not a list")
    told, refused = [], []
    for report in reports:
        try:
            told.append(_report(report))
        except ContractError as error:
            refused.append(error)
    return tuple(told), tuple(refused)


def _report(report: object) -> CardFeedback:
    members = report if isinstance(report, Mapping) else {}
    card, moment, outcome = _text(members.get("card")), _text(members.get("outcomeTimestamp")), members.get("outcome")
    if not (card and card.strip() and moment and moment.strip()):
        raise ContractError("feedback needs card and outcomeTimestamp, both text")
    if outcome not in _OUTCOMES:
        raise ContractError(f"feedback.outcome must be {' or '.join(_OUTCOMES)}")
    accepted = members.get("acceptedSuggestions")
    given = [one.get("id") for one in accepted if isinstance(one, Mapping)] if isinstance(accepted, list) else []
    ids = tuple(one for one in map(_text, given) if one is not None)
    # Epic's examples write the key in the plural.
    why = members.get("overrideReason") or members.get("overrideReasons")
    return CardFeedback(card, outcome, moment, ids, *_why(why[0] if isinstance(why, list) and why else why))


def _why(said: object) -> tuple[str | None, str | None]:
    members = said if isinstance(said, Mapping) else {}
    coding = members.get("reason")
    code = coding.get("code") if isinstance(coding, Mapping) else None
    return _text(code), _text(members.get("userComment"))


def _text(value: object) -> str | None:
    return storable(value) if isinstance(value, str) else None
