"""The patient of a call."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from fhir_mappings.dates import PartialDate
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.patients import Sex, read_patient
from tests.fhir_mappings.fhir_json import PATIENT, bundle, outcome, patient


def test_a_patient_is_read_with_birth_date_sex_and_identifiers() -> None:
    read = read_patient(
        patient(birthDate="1974-05", gender="female", identifier=[{"value": "MRN-1"}, {"value": "MRN-1"}, {}]), PATIENT
    )
    assert read.birth_date == PartialDate(date(1974, 5, 1), date(1974, 5, 31))
    assert (read.sex, read.deceased, read.identifiers) == (Sex.FEMALE, False, ("MRN-1",))


def test_a_patient_of_whom_nothing_is_said_is_unknown_and_not_assumed_female() -> None:
    read = read_patient(patient(), PATIENT)
    assert (read.birth_date, read.sex, read.deceased, read.identifiers) == (None, Sex.UNKNOWN, False, ())


@pytest.mark.parametrize(
    ("gender", "sex"),
    [("Female", Sex.FEMALE), ("male", Sex.MALE), ("other", Sex.OTHER), ("F", Sex.UNKNOWN), (1, Sex.UNKNOWN)],
)
def test_only_the_four_genders_of_r4_are_known(gender: object, sex: Sex) -> None:
    assert read_patient(patient(gender=gender), PATIENT).sex is sex


ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}


@pytest.mark.parametrize(
    ("deceased", "expected"),
    [
        ({"deceasedBoolean": True}, True),
        ({"deceasedBoolean": "true"}, True),
        ({"deceasedBoolean": 1}, True),
        ({"deceasedDateTime": "2015"}, True),
        ({"deceasedBoolean": False, "deceasedDateTime": "2015-02-14T13:42:00+10:00"}, True),
        ({"deceasedBoolean": False}, False),
        ({"deceasedBoolean": "false"}, False),
        ({"deceasedBoolean": None, "deceasedDateTime": None}, False),
        ({"_deceasedDateTime": ABSENT}, True),
        ({"deceasedBoolean": False, "_deceasedDateTime": ABSENT}, True),
        ({"_deceasedBoolean": ABSENT}, None),
        ({"deceasedBoolean": None, "_deceasedBoolean": ABSENT}, None),
        ({"deceasedBoolean": False, "_deceasedBoolean": {"id": "a"}}, False),
        ({"deceasedBoolean": True, "_deceasedBoolean": {"id": "a"}}, True),
        ({"_deceasedBoolean": ABSENT, "_deceasedDateTime": ABSENT}, True),
        ({"_deceasedBoolean": None, "_deceasedDateTime": {}}, False),
    ],
)
def test_any_sign_of_death_counts_and_what_is_not_told_is_not_known(
    deceased: dict[str, Any], expected: bool | None
) -> None:
    assert read_patient(patient(**deceased), PATIENT).deceased is expected


@pytest.mark.parametrize(
    ("said", "replaced", "inactive"),
    [
        ({}, False, False),
        ({"active": True}, False, False),
        ({"active": None, "link": None}, False, False),
        ({"active": False}, False, True),
        ({"active": "false"}, False, True),
        ({"link": [{"type": "replaced-by", "other": {"reference": "Patient/p2"}}]}, True, False),
        ({"link": [{"type": "seealso"}, {"type": "replace"}]}, True, False),
        ({"link": {"type": "replaced-by"}, "active": False}, True, True),
        ({"link": [{"type": "replaces"}, {"type": "refer"}, {"type": 1}, "x"]}, False, False),
    ],
)
def test_a_record_tells_whether_another_one_is_to_be_used(said: dict[str, Any], replaced: bool, inactive: bool) -> None:
    read = read_patient(patient(**said), PATIENT)
    assert (read.replaced, read.inactive) == (replaced, inactive)


@pytest.mark.parametrize("resource", [None, "x", [], {}, {"resourceType": "Person", "id": PATIENT}, bundle(patient())])
def test_what_is_no_patient_is_refused(resource: object) -> None:
    with pytest.raises(ResourceProblem, match="not a FHIR Patient"):
        read_patient(resource, PATIENT)


def test_an_outcome_in_the_patients_place_is_named_by_its_codes() -> None:
    with pytest.raises(ResourceProblem, match="error, not-found"):
        read_patient(outcome("error", "not-found"), PATIENT)


@pytest.mark.parametrize("other", ["p2", None, 1])
def test_another_patient_is_refused_without_naming_anyone(other: object) -> None:
    with pytest.raises(ResourceProblem) as refusal:
        read_patient(patient(id=other), PATIENT)
    assert PATIENT not in str(refusal.value)
    assert "p2" not in str(refusal.value)


def test_identifiers_never_show_in_a_patients_repr() -> None:
    assert "MRN-1" not in repr(read_patient(patient(identifier=[{"value": "MRN-1"}]), PATIENT))
