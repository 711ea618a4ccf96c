"""FHIR Condition and Procedure to the part of a history that stops an MRI suggestion."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_mappings import codes as c
from fhir_mappings.bundles import bundle_resources
from fhir_mappings.codes import Code
from fhir_mappings.elements import Json, codes_of, codings, text
from fhir_mappings.subjects import of_patient

# R4 Condition.verificationStatus; "unconfirmed" and "provisional" still count: unknown is never absent.
_NOT_TRUE = frozenset({"entered-in-error", "refuted"})
# R4 EventStatus: a mastectomy that is planned or was not done has not taken the breasts.
_NOT_DONE = frozenset({"entered-in-error", "not-done", "preparation"})


@dataclass(frozen=True)
class BreastHistory:
    """What is on record; False means looked at and not found, unless `problems` says that a part was not read."""

    breast_cancer: bool
    bilateral_mastectomy: bool
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class HistoryCodes:
    """Which codes mean what in a history, each as (system, code); prefixes are of ICD-10 and ICD-10-CM codes."""

    breast_cancer: frozenset[Code] = c.BREAST_CANCER
    breast_cancer_prefixes: tuple[str, ...] = c.BREAST_CANCER_PREFIXES
    bilateral_mastectomy: frozenset[Code] = c.BILATERAL_MASTECTOMY
    absent_right_breast: frozenset[Code] = c.ABSENT_RIGHT_BREAST
    absent_left_breast: frozenset[Code] = c.ABSENT_LEFT_BREAST


DEFAULT_HISTORY_CODES = HistoryCodes()


def read_history(
    conditions: object, procedures: object, patient_id: str, codes: HistoryCodes = DEFAULT_HISTORY_CODES
) -> BreastHistory:
    """Breast cancer, DCIS and bilateral mastectomy in search Bundles or lists of Condition and of Procedure.

    Resolved and inactive conditions count, since it is a history. Raises ResourceProblem where it cannot be known what
    there is.
    """
    diagnoses = bundle_resources(conditions, "Condition")
    operations = bundle_resources(procedures, "Procedure")
    own, others = of_patient(diagnoses.resources, patient_id, "condition", "conditions")
    done, others_done = of_patient(operations.resources, patient_id, "procedure", "procedures")
    present = _keys([condition for condition in own if may_be_true(condition)])
    absent_breasts = present | _keys([procedure for procedure in done if was_done(procedure)])
    return BreastHistory(
        breast_cancer=_is_breast_cancer(present, codes),
        bilateral_mastectomy=_is_bilateral(absent_breasts, codes),
        problems=diagnoses.problems + others + operations.problems + others_done,
    )


def may_be_true(condition: Json) -> bool:
    """Whether a Condition or AllergyIntolerance is neither withdrawn nor refuted."""
    return not codes_of(condition.get("verificationStatus")) & _NOT_TRUE


def was_done(procedure: Json) -> bool:
    """Whether a Procedure took place; an unknown status counts."""
    return text(procedure.get("status")) not in _NOT_DONE


def _keys(resources: list[Json]) -> frozenset[Code]:
    return frozenset(as_written(coding.key) for resource in resources for coding in codings(resource.get("code")))


def as_written(code: Code) -> Code:
    """ICD-10 codes with their dot, which some EHRs leave out."""
    system, value = code
    if system not in (c.ICD_10, c.ICD_10_CM) or "." in value or len(value) <= 3:
        return code
    return system, f"{value[:3]}.{value[3:]}"


def _is_breast_cancer(present: frozenset[Code], codes: HistoryCodes) -> bool:
    by_prefix = any(
        system in (c.ICD_10, c.ICD_10_CM) and value.startswith(codes.breast_cancer_prefixes)
        for system, value in present
    )
    return by_prefix or bool(present & codes.breast_cancer)


def _is_bilateral(present: frozenset[Code], codes: HistoryCodes) -> bool:
    both_sides = bool(present & codes.absent_right_breast) and bool(present & codes.absent_left_breast)
    return both_sides or bool(present & codes.bilateral_mastectomy)
