"""DICOMweb roots of studies."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_mappings.endpoints import dicomweb_root, endpoints_by_reference
from tests.fhir_mappings.fhir_json import bundle, endpoint, study

ROOT = "https://pacs.example/dicom-web"
REFERENCE = {"reference": "Endpoint/e1"}


def root_of(given: dict[str, Any], reference: object = REFERENCE) -> str | None:
    """The root of a study that names one endpoint, which came in the same Bundle."""
    named = study(endpoint=[reference])
    return dicomweb_root(named, named, endpoints_by_reference(bundle(named, given)))


@pytest.mark.parametrize(
    "reference", [REFERENCE, {"reference": "https://ehr.example/Endpoint/e1"}, {"reference": "https://ehr.example/1"}]
)
def test_an_endpoint_in_the_bundle_is_found_by_relative_and_absolute_references(reference: object) -> None:
    assert root_of(endpoint(ROOT), reference) == ROOT


def test_a_contained_endpoint_is_found() -> None:
    named = study(endpoint=[{"reference": "#e1"}], contained=[endpoint(f"{ROOT}/")])
    assert dicomweb_root(named, named, {}) == ROOT


def test_r5_and_plain_spellings_of_the_connection_type_are_read() -> None:
    assert root_of(endpoint(ROOT, connectionType=[{"coding": [{"code": "dicom-wado-rs"}]}])) == ROOT
    assert root_of(endpoint(ROOT, connectionType={"code": "dicom-wado-rs"})) == ROOT


@pytest.mark.parametrize(
    "broken",
    [
        endpoint(ROOT, status="off"),
        endpoint(ROOT, status="entered-in-error"),
        endpoint(ROOT, connectionType={"code": "dicom-qido-rs"}),
        endpoint(ROOT, connectionType={"system": "https://other.example", "code": "dicom-wado-rs"}),
        endpoint(ROOT, connectionType=None),
        endpoint("ftp://pacs.example"),
        endpoint(""),
        {**endpoint(ROOT), "address": 7},
        endpoint(ROOT, resourceType="Organization"),
    ],
)
def test_an_endpoint_that_is_not_an_active_wado_address_is_not_used(broken: dict[str, Any]) -> None:
    assert root_of(broken) is None


def test_a_study_whose_endpoint_did_not_come_with_it_has_no_root() -> None:
    named = study(endpoint=[REFERENCE, None, "x", {"reference": 1}])
    assert dicomweb_root(named, named, {}) is None
