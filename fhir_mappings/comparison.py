"""Whether a resource that a server holds still says what it was sent, whatever the server added of its own."""

from __future__ import annotations

from fhir_mappings.elements import Json
from fhir_mappings.references import reference_parts

# What the server decides: R4 Resource.id and Resource.meta, and DomainResource.text, which it may write itself.
_THE_SERVERS_OWN = frozenset({"id", "meta", "text"})


def same_content(one: Json, other: Json) -> bool:
    """Whether two resources say the same: apart from id, meta, text, empty elements and how a reference is written."""
    return _content(one) == _content(other)


def _content(resource: Json) -> object:
    return _pruned({name: value for name, value in resource.items() if name not in _THE_SERVERS_OWN})


def _pruned(value: object) -> object:
    """The value without empty members; None where nothing is left."""
    if isinstance(value, dict):
        members = {name: _pruned(_told(name, member)) for name, member in value.items()}
        return {name: member for name, member in members.items() if member is not None} or None
    if isinstance(value, list):
        return [member for member in map(_pruned, value) if member is not None] or None
    return value if value != "" else None


def _told(name: str, value: object) -> object:
    """A reference without the server's address in front and the version behind, which some servers add."""
    parts = reference_parts(value) if name == "reference" else None
    return "/".join(parts) if parts else value
