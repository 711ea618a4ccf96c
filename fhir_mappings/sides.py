"""Which breast a resource is about, as far as it says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from fhir_mappings.code_sets import CodeSets
from fhir_mappings.codes import Code
from fhir_mappings.elements import Json, codings, objects


class Side(StrEnum):
    """One of the two breasts."""

    LEFT = "left"
    RIGHT = "right"


BOTH = frozenset(Side)


def sides_told(resource: Json, sets: CodeSets) -> frozenset[Side]:
    """The sides that a resource names: by its body sites or their laterality, or by a modifier beside its code."""
    said = frozenset(_said(resource))
    if sets["both-breasts"].holds_any(said):
        return BOTH
    return frozenset(side for side in Side if sets[f"{side}-breast"].holds_any(said))


def names_no_place(resource: Json, sets: CodeSets) -> bool:
    """Whether it says nothing of where, or only that it is the breast; a place that cannot be read is one."""
    return all(sets["breast"].holds_any(_keys(site)) for site in objects(resource.get("bodySite")))


def _said(resource: Json) -> Iterator[Code]:
    yield from _keys(resource.get("code"))
    for site in objects(resource.get("bodySite")):
        yield from _keys(site)
        for extension in objects(site.get("extension")):  # mCODE's laterality qualifier
            yield from _keys(extension.get("valueCodeableConcept"))


def _keys(element: object) -> Iterable[Code]:
    return (coding.key for coding in codings(element))
