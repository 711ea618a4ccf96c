"""What is asked of the EHR finds what the rules look for, wherever charts keep it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest

from cds.demo.fhir_search import search
from hooks.prefetch import PREFETCH

CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"


def found(observation: dict[str, Any]) -> bool:
    """Whether a server that searches as R4 says finds it by the template's query."""
    resource_type, _, query = PREFETCH["observations"].replace("{{context.patientId}}", "p1").partition("?")
    resource = {"resourceType": resource_type, "subject": {"reference": "Patient/p1"}, **observation}
    return search([resource], resource_type, parse_qsl(query)) == [resource]


@pytest.mark.parametrize(
    ("category", "is_found"),
    [
        ("imaging", True),  # a BI-RADS category as the radiology report has it
        ("exam", True),  # the same, as the breast clinic has it
        ("procedure", True),
        ("survey", True),  # a lifetime risk, calculated from a questionnaire
        ("social-history", True),  # whether she is pregnant
        ("laboratory", False),
        ("vital-signs", False),
        ("therapy", False),
        ("activity", False),
    ],
)
def test_observations_are_looked_for_in_every_category_that_may_hold_what_is_asked(
    category: str, is_found: bool
) -> None:
    assert found({"category": [{"coding": [{"system": CATEGORIES, "code": category}]}]}) is is_found


def test_an_observation_without_a_category_is_not_found_which_the_cards_own_up_to() -> None:
    assert not found({})
