"""Checks of what leaves for an EHR."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest

from fhir_mappings.errors import ResourceProblem
from fhir_mappings.outgoing import check_contained, check_plain, check_references, notes, plain_json, reference_to
from tests.fhir_mappings.fhir_json import service_request


def test_a_valid_resource_comes_out_as_it_went_in() -> None:
    assert plain_json(ServiceRequest, service_request()) == service_request()


def test_of_the_elements_that_may_be_missing_those_that_hold_something_are_written() -> None:
    written = plain_json(ServiceRequest, service_request(), note=notes("Say."), requester=None, supportingInfo=[])
    assert written == service_request(note=[{"text": "Say."}])
    assert notes(None) == notes("") == []


def test_an_invalid_resource_is_refused_by_the_names_of_its_elements_not_their_values() -> None:
    with pytest.raises(ResourceProblem, match="authoredOn") as refusal:
        plain_json(ServiceRequest, service_request(authoredOn="Jane Doe"))
    assert "Jane" not in str(refusal.value)


@pytest.mark.parametrize(
    "broken",
    [None, "", " ", [], {}, Decimal(1), float("nan"), float("inf"), (1,), {"a": None}, {"a": [{"b": ""}]}, [[]]],
)
def test_null_empty_and_foreign_values_are_found_at_any_depth(broken: Any) -> None:
    with pytest.raises(ResourceProblem):
        check_plain({"deep": [{"down": broken}]})


def test_zero_and_false_are_values() -> None:
    check_plain({"a": 0, "b": False, "c": [0.0, "x"]})


def test_a_problem_is_named_by_its_place() -> None:
    with pytest.raises(ResourceProblem, match=r"resource\.note\.1\.text is null or empty"):
        check_plain({"note": [{"text": "a"}, {"text": ""}]})


@pytest.mark.parametrize("reference", ["Group/1", "#missing", "urn:uuid:1", ""])
def test_a_reference_of_the_wrong_type_is_refused(reference: str) -> None:
    with pytest.raises(ResourceProblem, match="subject must refer to Patient"):
        check_references({"subject": {"reference": reference}}, "subject", frozenset({"Patient"}))


def test_a_contained_target_is_judged_by_its_own_type() -> None:
    resource = {"contained": [{"resourceType": "Device", "id": "d"}], "performer": {"reference": "#d"}}
    check_references(resource, "performer", frozenset({"Device"}))
    with pytest.raises(ResourceProblem, match="not to Device"):
        check_references(resource, "performer", frozenset({"Practitioner"}))


def test_contained_resources_and_references_to_them_must_meet() -> None:
    held, used = [{"resourceType": "Device", "id": "d"}], {"performer": {"reference": "#d"}}
    check_contained({"contained": held, **used})
    with pytest.raises(ResourceProblem, match="referred to nowhere"):
        check_contained({"contained": held})
    with pytest.raises(ResourceProblem, match="leads nowhere"):
        check_contained(used)


def test_a_reference_is_written_only_for_the_types_that_may_stand_there() -> None:
    assert reference_to("Practitioner/1", "Practitioner") == {"reference": "Practitioner/1"}
    assert [reference_to(other, "Practitioner") for other in ("Patient/1", "x", "", None)] == [None] * 4
