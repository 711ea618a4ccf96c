"""CDS Hooks 2.0.1 in types: the cards that go out; what comes in is in `request`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fhir_mappings.codes import Coding
from hooks.json_rules import present, refuse, refuse_empty, require_absolute_url, require_text
from hooks.reasoning import Reasoning
from hooks.request import Authorization, ContractError, HookRequest

__all__ = [
    "Action",
    "ActionType",
    "Authorization",
    "Card",
    "ContractError",
    "HookRequest",
    "Indicator",
    "Link",
    "NewUuid",
    "OverrideReason",
    "SelectionBehavior",
    "Source",
    "Suggestion",
    "Withheld",
    "cards_response",
]

SUMMARY_CHARACTERS = 139  # "under 140" (CDS Hooks 2.0.1, Card Attributes)

NewUuid = Callable[[], str]


class Indicator(StrEnum):
    """How urgent a card is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Withheld(StrEnum):
    """Why a card that was made is not sent.

    `silent`: the EHR's mode. `overridden`: a clinician gave her reason lately. `nothing-new`: it was said before.
    """

    SILENT = "silent"
    OVERRIDDEN = "overridden"
    NOTHING_NEW = "nothing-new"


class SelectionBehavior(StrEnum):
    """How many of a card's suggestions may be taken."""

    ANY = "any"
    AT_MOST_ONE = "at-most-one"


class ActionType(StrEnum):
    """What a suggestion does to the EHR's record."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class Source:
    """Whose card it is. The address is the same for every patient; what is about one case goes into `links`."""

    label: str
    url: str | None = None
    icon: str | None = None
    topic: Coding | None = None

    def __post_init__(self) -> None:
        require_text(self.label, "source.label")
        for name, address in (("source.url", self.url), ("source.icon", self.icon)):
            if address is not None:
                require_absolute_url(address, name)
        refuse(self.topic is not None and not (self.topic.code and self.topic.system), "source.topic: code and system")

    def to_json(self) -> dict[str, object]:
        """The source as CDS Hooks has it."""
        return present(label=self.label, url=self.url, icon=self.icon, topic=self.topic and _coding(self.topic))


@dataclass(frozen=True)
class OverrideReason:
    """A reason a clinician may give for not following a card; the display is what she reads."""

    code: str
    system: str
    display: str

    def __post_init__(self) -> None:
        for name, value in (("code", self.code), ("system", self.system), ("display", self.display)):
            require_text(value, f"overrideReasons.{name}")

    def to_json(self) -> dict[str, object]:
        """The reason as a CDS Hooks Coding."""
        return {"code": self.code, "system": self.system, "display": self.display}


@dataclass(frozen=True)
class Action:
    """One change that a suggestion makes: a whole resource for create and update, `Type/id` for delete."""

    type: ActionType
    description: str
    resource: Mapping[str, Any] | None = None
    resource_id: str | None = None

    def __post_init__(self) -> None:
        require_text(self.description, "action.description")
        if self.type is ActionType.DELETE:
            refuse(not re.fullmatch(r"[A-Za-z]+/[A-Za-z0-9\-.]+", self.resource_id or ""), "delete needs Type/id")
            refuse(self.resource is not None, "delete names its resource by resourceId alone")
        else:
            resource = self.resource or {}
            refuse(not resource.get("resourceType"), f"{self.type} needs a resource with its resourceType")
            refuse(self.type is ActionType.UPDATE and not resource.get("id"), "update needs the resource's id")
            refuse_empty(resource, "action.resource")

    def to_json(self) -> dict[str, object]:
        """The action as CDS Hooks has it."""
        resource = None if self.resource is None else dict(self.resource)
        return present(
            type=self.type.value, description=self.description, resource=resource, resourceId=self.resource_id
        )


@dataclass(frozen=True)
class Suggestion:
    """Something the clinician may accept with one click."""

    label: str
    uuid: str
    actions: tuple[Action, ...]
    is_recommended: bool | None = None

    def __post_init__(self) -> None:
        require_text(self.label, "suggestion.label")
        require_text(self.uuid, "suggestion.uuid")

    def to_json(self) -> dict[str, object]:
        """The suggestion as CDS Hooks has it."""
        actions = [action.to_json() for action in self.actions]
        return present(label=self.label, uuid=self.uuid, isRecommended=self.is_recommended, actions=actions)


@dataclass(frozen=True)
class Link:
    """A way out of the card: a plain address, or (`smart`) a SMART app that the EHR launches."""

    label: str
    url: str
    type: str = "absolute"
    app_context: str | None = None
    autolaunchable: bool | None = None

    def __post_init__(self) -> None:
        require_text(self.label, "link.label")
        require_absolute_url(self.url, "link.url")
        refuse(self.type not in ("absolute", "smart"), "link.type must be absolute or smart")
        refuse(self.app_context is not None and self.type != "smart", "link.appContext is for smart links only")

    def to_json(self) -> dict[str, object]:
        """The link as CDS Hooks has it."""
        return present(
            label=self.label,
            url=self.url,
            type=self.type,
            appContext=self.app_context,
            autolaunchable=self.autolaunchable,
        )


@dataclass(frozen=True)
class Card:
    """One piece of advice; what CDS Hooks forbids raises CardError here, before any EHR sees it.

    What follows `links` is for our own records and never sent: which kind of card it is, the exam it is about, what of
    it could not be built, why it is withheld, None where it is sent, and the policy's reasoning.
    """

    summary: str
    indicator: Indicator
    source: Source
    uuid: str
    detail: str = ""
    suggestions: tuple[Suggestion, ...] = ()
    selection_behavior: SelectionBehavior | None = None
    override_reasons: tuple[OverrideReason, ...] = ()
    links: tuple[Link, ...] = ()
    kind: str = ""
    study_uid: str | None = field(default=None, repr=False)
    problems: tuple[str, ...] = ()
    withheld: Withheld | None = None
    reasoning: Reasoning = field(default_factory=Reasoning)

    def __post_init__(self) -> None:
        require_text(self.summary, "card.summary")
        require_text(self.uuid, "card.uuid")
        refuse(
            summary_length(self.summary) > SUMMARY_CHARACTERS, f"a summary has at most {SUMMARY_CHARACTERS} characters"
        )
        refuse("\n" in self.summary, "a summary is one line")
        refuse(not isinstance(self.indicator, Indicator), "card.indicator must be info, warning or critical")
        refuse(bool(self.suggestions) and self.selection_behavior is None, "suggestions need a selectionBehavior")
        recommended = sum(suggestion.is_recommended is True for suggestion in self.suggestions)
        refuse(
            recommended > 1 and self.selection_behavior is not SelectionBehavior.ANY,
            "more than one recommended suggestion needs selectionBehavior any",
        )

    def to_json(self) -> dict[str, object]:
        """The card as CDS Hooks has it."""
        return present(
            uuid=self.uuid,
            summary=self.summary,
            detail=self.detail,
            indicator=self.indicator.value,
            source=self.source.to_json(),
            suggestions=[suggestion.to_json() for suggestion in self.suggestions],
            selectionBehavior=self.selection_behavior and self.selection_behavior.value,
            overrideReasons=[reason.to_json() for reason in self.override_reasons],
            links=[link.to_json() for link in self.links],
        )


def cards_response(cards: Iterable[Card]) -> dict[str, object]:
    """The answer to a hook call: the cards that are not withheld. Raises CardError for a repeated uuid."""
    shown = tuple(card for card in cards if card.withheld is None)
    uuids = [card.uuid for card in shown] + [suggestion.uuid for card in shown for suggestion in card.suggestions]
    refuse(len(set(uuids)) < len(uuids), "every card and suggestion needs a uuid of its own")
    return {"cards": [card.to_json() for card in shown]}


def summary_length(text: str) -> int:
    """Characters as a browser counts them (UTF-16 units), which is where a limit is enforced first."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _coding(coding: Coding) -> dict[str, object]:
    return present(code=coding.code, system=coding.system, display=coding.display)
