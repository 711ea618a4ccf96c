"""Which breast a resource is about."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_mappings.code_sets import code_sets
from fhir_mappings.codes import CPT, HCPCS, SNOMED
from fhir_mappings.sides import BOTH, Side, names_no_place, sides_told
from tests.fhir_mappings.fhir_json import concept

SETS = code_sets()
LEFT, RIGHT = concept(SNOMED, "80248007"), concept(SNOMED, "73056007")
BREAST = concept(SNOMED, "76752008")


def modified(*modifiers: tuple[str, str]) -> dict[str, Any]:
    """A procedure with modifiers beside its code."""
    codes = [(CPT, "19303"), *modifiers]
    return {"code": {"coding": [{"system": system, "code": code} for system, code in codes]}}


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        ({"bodySite": LEFT}, {Side.LEFT}),
        ({"bodySite": [RIGHT]}, {Side.RIGHT}),
        ({"bodySite": [LEFT, RIGHT]}, BOTH),
        ({"bodySite": [concept(SNOMED, "63762007")]}, BOTH),
        ({"bodySite": [BREAST | {"extension": [{"url": "x", "valueCodeableConcept": concept(SNOMED, "7771000")}]}]},
         {Side.LEFT}),
        (modified((HCPCS, "LT")), {Side.LEFT}),
        (modified((HCPCS, "RT")), {Side.RIGHT}),
        (modified((HCPCS, "LT"), (HCPCS, "RT")), BOTH),
        (modified((CPT, "50")), BOTH),
        (modified((SNOMED, "50")), set()),
        (modified(), set()),
        ({"bodySite": [BREAST]}, set()),
        ({"bodySite": {"text": "left breast"}}, set()),
        ({"bodySite": [{"extension": ["left"]}, 7, None]}, set()),
        ({}, set()),
    ],
)  # fmt: skip
def test_a_side_is_told_by_body_sites_and_modifiers_and_never_guessed(
    resource: dict[str, Any], told: set[Side]
) -> None:
    assert sides_told(resource, SETS) == told


@pytest.mark.parametrize(
    ("resource", "names_none"),
    [
        ({}, True),
        ({"bodySite": BREAST}, True),
        ({"bodySite": [BREAST, BREAST]}, True),
        ({"bodySite": LEFT}, False),
        ({"bodySite": [BREAST, LEFT]}, False),
        ({"bodySite": {"text": "left breast"}}, False),
        ({"bodySite": concept("urn:site", "LB")}, False),
    ],
)
def test_a_place_that_cannot_be_read_is_not_no_place(resource: dict[str, Any], names_none: bool) -> None:
    assert names_no_place(resource, SETS) is names_none
