"""FHIR Patient to what the policy asks of her: birth date, sex, alive or not, and whether the record is in use."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from fhir_mappings.bundles import outcome_problem
from fhir_mappings.dates import PartialDate, parse_partial_date
from fhir_mappings.elements import Json, as_object, objects, text
from fhir_mappings.errors import ResourceProblem

# link-type of R4 and STU3, and of DSTU2: the record that holds the link must no longer be used.
_REPLACED = frozenset({"replaced-by", "replace"})


class Sex(StrEnum):
    """FHIR's administrative gender, the only sex that every EHR sends (R4 AdministrativeGender)."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Patient:
    """One patient as her EHR describes her; `identifiers` are for comparison with DICOM PatientID and never shown.

    `deceased` is None where the record says that it is not known.
    `replaced` tells that another record must be used in place of this one, `inactive` that this one is not in use.
    """

    id: str
    birth_date: PartialDate | None
    sex: Sex
    deceased: bool | None
    identifiers: tuple[str, ...] = field(default=(), repr=False)
    replaced: bool = False
    inactive: bool = False


def read_patient(resource: object, patient_id: str) -> Patient:
    """The patient in a FHIR Patient; raises ResourceProblem if it is none, or not the one who was asked for."""
    patient = as_object(resource)
    if patient.get("resourceType") != "Patient":
        raise ResourceProblem(outcome_problem(resource) or "the patient is not a FHIR Patient resource; send one")
    if patient.get("id") != patient_id:
        raise ResourceProblem("the Patient resource is not the patient of this call; send the one in context.patientId")
    return Patient(
        id=patient_id,
        birth_date=parse_partial_date(patient.get("birthDate")),
        sex=_sex(patient),
        deceased=_is_deceased(patient),
        identifiers=_identifiers(patient),
        replaced=any(text(link.get("type")) in _REPLACED for link in objects(patient.get("link"))),
        inactive=patient.get("active") in (False, "false"),
    )


def _sex(patient: Json) -> Sex:
    try:
        return Sex(text(patient.get("gender")).lower())
    except ValueError:
        return Sex.UNKNOWN


def _is_deceased(patient: Json) -> bool | None:
    """Any sign of death counts, also one of a wrong type: an order for the dead is the worse mistake.

    A date without a value has an extension that says why (data-absent-reason): the death is known, its day is not.
    """
    flag = patient.get("deceasedBoolean")
    if flag not in (None, False, "", "false") or patient.get("deceasedDateTime") or patient.get("_deceasedDateTime"):
        return True
    return None if flag is None and patient.get("_deceasedBoolean") else False


def _identifiers(patient: Json) -> tuple[str, ...]:
    values = [text(identifier.get("value")) for identifier in objects(patient.get("identifier"))]
    return tuple(dict.fromkeys(value for value in values if value))
