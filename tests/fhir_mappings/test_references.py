"""References, study UIDs and accession numbers."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.references import accession_number, is_dicom_uid, own_reference, reference_id, study_uid

ACSN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}


@pytest.mark.parametrize(
    "written",
    [
        "Patient/123",
        "https://ehr.example/fhir/R4/Patient/123",
        "http://127.0.0.1:8080/Patient/123/_history/2",
        "Patient/123/_history/2",
    ],
)
def test_relative_absolute_and_versioned_references_name_the_id(written: str) -> None:
    assert reference_id({"reference": written}, "Patient") == "123"
    assert reference_id(written, "Patient") == "123"


@pytest.mark.parametrize(
    "reference",
    [
        None,
        7,
        [],
        {},
        {"reference": None},
        {"reference": 123},
        {"reference": {"reference": "Patient/123"}},
        {"identifier": {"value": "123"}},
        "urn:uuid:6bb3d38f-ae2e-40cf-a31e-baaea0b8bcc1",
        "#123",
        "Patient",
        "Patient/",
        "Patient/1/2",
        "Group/123",
        "Patient/123?x=1",
        "Patient/a b",
        "javascript:alert(1)//Patient/123",
        "Patient/" + "a" * 129,
    ],
)
def test_what_names_no_patient_has_no_patient_id(reference: object) -> None:
    assert reference_id(reference, "Patient") is None


def test_ids_longer_than_r4_allows_are_read_as_some_ehrs_send_them() -> None:
    assert reference_id("Patient/" + "e" * 100, "Patient") == "e" * 100


def test_a_resource_without_a_legal_id_has_no_reference() -> None:
    assert own_reference({"resourceType": "ImagingStudy", "id": "s.1"}) == "ImagingStudy/s.1"
    assert own_reference({"resourceType": "ImagingStudy", "id": "s/1"}) is None
    assert own_reference({"resourceType": "ImagingStudy", "id": 1}) is None


@pytest.mark.parametrize(
    "identifier",
    [
        {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.4"},
        {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3.4"},
        {"system": "urn:dicom:uid", "value": "1.2.3.4"},
        {"value": "1.2.3.4"},
        {"value": "urn:oid:1.2.3.4"},
    ],
)
def test_a_study_uid_is_read_in_every_form_met_in_the_field(identifier: dict[str, str]) -> None:
    assert study_uid({"identifier": [identifier]}) == "1.2.3.4"
    assert study_uid({"identifier": identifier}) == "1.2.3.4"


@pytest.mark.parametrize(
    "uid",
    ["1", "1..2", ".1.2", "1.2.", "3.1.2", "1.2.a", "1.2.\u0663", "", "1." + "2" * 63],
)
def test_what_is_no_dicom_uid_is_not_taken_for_one(uid: str) -> None:
    assert not is_dicom_uid(uid)
    assert study_uid({"identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}]}) is None


def test_a_uid_with_leading_zeros_is_taken_as_the_archive_has_it() -> None:
    assert study_uid({"identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.03.004"}]}) == "1.2.03.004"


def test_a_line_end_is_no_part_of_a_uid() -> None:
    assert not is_dicom_uid("1.2.3\n")


def test_a_uid_of_64_characters_is_the_longest() -> None:
    assert is_dicom_uid("1." + "2" * 62)


@pytest.mark.parametrize(
    "identifier",
    [
        {"system": "https://hospital.example/accession", "value": "1.2.3.4"},
        {"system": "urn:ietf:rfc:3986", "value": "1.2.3.4"},
        {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:6bb3d38f-ae2e-40cf-a31e-baaea0b8bcc1"},
        {"type": ACSN, "value": "1.2.3.4"},
        {"value": 1.2},
        {"value": "55551234"},
        {},
    ],
)
def test_other_identifiers_are_not_study_uids(identifier: dict[str, object]) -> None:
    assert study_uid({"identifier": [identifier]}) is None


def test_two_different_study_uids_are_ambiguous_in_any_order() -> None:
    found = [{"system": "urn:dicom:uid", "value": value} for value in ("1.2.3.4", "urn:oid:1.2.3.4", "1.2.3.5")]
    assert {study_uid({"identifier": list(order)}) for order in permutations(found)} == {None}
    assert study_uid({"identifier": found[:2]}) == "1.2.3.4"


def test_an_identifier_that_is_marked_as_old_is_none() -> None:
    old, now = {"use": "old", "system": "urn:dicom:uid", "value": "urn:oid:1.2.3.9"}, {"value": "1.2.3.4"}
    assert study_uid({"identifier": [old, {**old, "use": "official", "value": "1.2.3.4"}]}) == "1.2.3.4"
    assert study_uid({"identifier": [old, now]}) == "1.2.3.4"
    assert study_uid({"identifier": [old]}) is None
    kept, withdrawn = {"type": ACSN, "value": "A1"}, {"type": ACSN, "value": "A2", "use": "old"}
    assert accession_number({"identifier": [withdrawn, kept]}) == "A1"
    assert accession_number({"identifier": [withdrawn]}) is None


def test_an_identifier_in_the_dicom_system_decides_over_other_oids() -> None:
    report = {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3.9"}
    assert study_uid({"identifier": [report, {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.4"}]}) == "1.2.3.4"


@pytest.mark.parametrize("resource", [None, "x", [], {}, {"identifier": "x"}, {"identifier": [None, 1, "1.2.3"]}])
def test_a_resource_without_readable_identifiers_has_neither_uid_nor_accession_number(resource: object) -> None:
    assert study_uid(resource) is None
    assert accession_number(resource) is None


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=5))
def test_every_uid_of_legal_arcs_is_read(arcs: list[int]) -> None:
    uid = ".".join(["1", *map(str, arcs)])
    assert study_uid({"identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}]}) == uid


@pytest.mark.parametrize(
    "kind",
    [
        ACSN,
        {"coding": [{"code": "MR"}, *ACSN["coding"]]},
        {"coding": [{"system": "http://hl7.org/fhir/v2/0203", "code": "ACSN"}]},
        {"coding": [{"code": "ACSN"}]},
    ],
)
def test_an_accession_number_is_known_by_its_type(kind: dict[str, Any]) -> None:
    assert accession_number({"identifier": [{"type": kind, "value": " A123 "}, {"value": "B9"}]}) == "A123"


def test_an_accession_number_that_no_archive_could_have_is_none() -> None:
    longest, longer = ({"type": ACSN, "value": "A" * length} for length in (64, 65))

    assert accession_number({"identifier": [longest]}) == "A" * 64
    assert accession_number({"identifier": [longer]}) is None
    assert accession_number({"identifier": [longer, {"type": ACSN, "value": "A1"}]}) is None


def test_two_different_accession_numbers_are_ambiguous() -> None:
    one, other = {"type": ACSN, "value": "A1"}, {"type": ACSN, "value": "A2"}
    assert accession_number({"identifier": [one, one]}) == "A1"
    assert accession_number({"identifier": [one, other]}) is None


@pytest.mark.parametrize("value", ["*", "A?23", "A\\B", "A\n", "", 123, None])
def test_an_accession_number_that_would_match_other_studies_is_not_taken(value: object) -> None:
    read = accession_number({"identifier": [{"type": ACSN, "value": value}]})
    assert read == ("A" if value == "A\n" else None)


def test_a_uid_with_dicoms_padding_is_read_without_it() -> None:
    assert study_uid({"identifier": [{"system": "urn:dicom:uid", "value": "1.2.3\0"}]}) == "1.2.3"


@pytest.mark.parametrize("broken", ["A\ud8001", "A\0001", "\udfff"])
def test_an_identifier_that_no_database_can_keep_is_none_rather_than_another_one(broken: str) -> None:
    assert accession_number({"identifier": [{"type": ACSN, "value": broken}]}) is None
    assert reference_id(f"Patient/{broken}", "Patient") is None


# Before R4


@pytest.mark.parametrize("value", ["urn:oid:1.2.3", "1.2.3"])
def test_a_study_before_r4_has_its_uid_in_an_element_of_its_own(value: str) -> None:
    assert study_uid({"uid": value, "identifier": [{"value": "1.2.9"}]}) == "1.2.3"
    assert study_uid({"uid": value, "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.9"}]}) is None


def test_a_study_before_r4_has_its_accession_number_in_an_element_of_its_own() -> None:
    assert accession_number({"accession": {"value": "A1"}}) == "A1"
    assert accession_number({"accession": {"value": "A1"}, "identifier": [{"type": ACSN, "value": "A2"}]}) is None
