"""The name under which a FHIR resource shows a person."""

from __future__ import annotations

from fhir_mappings.elements import Json, as_object, objects, text

_FIRST_CHOICE = ("official", "usual", "")
_NOT_HERS_NOW = ("old", "maiden", "anonymous", "nickname")
LONGEST_NAME = 200


def shown_name(resource: Json) -> str:
    """The name of a Patient as her chart has it (R4 HumanName), the official one first; empty where there is none."""
    names = [name for name in objects(resource.get("name")) if text(name.get("use")) not in _NOT_HERS_NOW]
    ranked = sorted(names, key=lambda name: (_is_over(name), _rank(text(name.get("use")))))
    found = next((words for name in ranked if (words := _words(name))), "")
    # On a page a control character or a change of direction could make another name of it.
    return " ".join("".join(c if c.isprintable() else " " for c in found).split())[:LONGEST_NAME]


def _rank(use: str) -> int:
    return _FIRST_CHOICE.index(use) if use in _FIRST_CHOICE else len(_FIRST_CHOICE)


def _is_over(name: Json) -> bool:
    return bool(as_object(name.get("period")).get("end"))


def _words(name: Json) -> str:
    given = name.get("given")
    parts = [*(given if isinstance(given, list) else [given]), name.get("family")]
    return text(name.get("text")) or " ".join(filter(None, map(text, parts)))
