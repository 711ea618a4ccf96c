"""What clinicians did with cards, as EHRs report it (CDS Hooks 2.0.1, Feedback), read tolerantly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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


def read_feedback(body: object) -> tuple[CardFeedback, ...]:
    """Every report of a feedback call; raises ContractError where one of them cannot be told."""
    reports = body.get("feedback") if isinstance(body, Mapping) else None
    if not isinstance(reports, list):
        raise ContractError("feedback is missing or not a list")
    return tuple(_report(report) for report in reports)


def _report(report: object) -> CardFeedback:
    members = report if isinstance(report, Mapping) else {}
    card, outcome, moment = (members.get(name) for name in ("card", "outcome", "outcomeTimestamp"))
    if not isinstance(card, str) or not card.strip() or not isinstance(moment, str) or not moment.strip():
        raise ContractError("feedback needs card and outcomeTimestamp, both text")
    if outcome not in _OUTCOMES:
        raise ContractError(f"feedback.outcome must be {' or '.join(_OUTCOMES)}")
    accepted = members.get("acceptedSuggestions")
    ids = [one.get("id") for one in accepted if isinstance(one, Mapping)] if isinstance(accepted, list) else []
    # Epic's examples write the key in the plural.
    why = members.get("overrideReason") or members.get("overrideReasons")
    reason, comment = _why(why[0] if isinstance(why, list) and why else why)
    return CardFeedback(card, outcome, moment, tuple(one for one in ids if isinstance(one, str)), reason, comment)


def _why(said: object) -> tuple[str | None, str | None]:
    members = said if isinstance(said, Mapping) else {}
    coding, comment = members.get("reason"), members.get("userComment")
    code = coding.get("code") if isinstance(coding, Mapping) else None
    return code if isinstance(code, str) else None, comment if isinstance(comment, str) else None
