"""FHIR Condition and Procedure to the part of a history that stops an MRI suggestion."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_mappings.bundles import bundle_resources
from fhir_mappings.code_sets import CodeSets
from fhir_mappings.codes import Code
from fhir_mappings.elements import Json, codes_of, codings, text
from fhir_mappings.sides import BOTH, Side, sides_told
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


def read_history(conditions: object, procedures: object, patient_id: str, sets: CodeSets) -> BreastHistory:
    """Breast cancer, DCIS and bilateral mastectomy in search Bundles or lists of Condition and of Procedure.

    Resolved and inactive conditions count, since it is a history. Raises ResourceProblem where it cannot be known what
    there is.
    """
    diagnoses = bundle_resources(conditions, "Condition")
    operations = bundle_resources(procedures, "Procedure")
    own, others = of_patient(diagnoses.resources, patient_id, "condition", "conditions")
    done, others_done = of_patient(operations.resources, patient_id, "procedure", "procedures")
    noted = [condition for condition in own if may_be_true(condition)]
    operated = [procedure for procedure in done if was_done(procedure)]
    diagnosed = _keys(noted)
    return BreastHistory(
        breast_cancer=sets["breast-cancer"].holds_any(diagnosed),
        bilateral_mastectomy=_is_bilateral([*noted, *operated], diagnosed | _keys(operated), sets),
        problems=diagnoses.problems + others + operations.problems + others_done,
    )


def may_be_true(condition: Json) -> bool:
    """Whether a Condition or AllergyIntolerance is neither withdrawn nor refuted."""
    said = codes_of(condition.get("verificationStatus")) | codes_of(condition.get("status"))  # DSTU2 AllergyIntolerance
    return not said & _NOT_TRUE


def was_done(procedure: Json) -> bool:
    """Whether a Procedure took place; an unknown status counts."""
    if procedure.get("notDone") is True or procedure.get("notPerformed") is True:  # STU3, DSTU2
        return False
    return text(procedure.get("status")) not in _NOT_DONE


def _keys(resources: list[Json]) -> frozenset[Code]:
    return frozenset(coding.key for resource in resources for coding in codings(resource.get("code")))


def _is_bilateral(resources: list[Json], present: frozenset[Code], sets: CodeSets) -> bool:
    """Whether both breasts were removed, at once or one after the other; a side that is not told counts for none.

    `present` are the codes of the resources.
    """
    absent = {side for side in Side if sets[f"absent-{side}-breast"].holds_any(present)}
    if sets["mastectomy"].holds_any(present):
        of_a_side = (one for one in resources if sets["mastectomy"].holds_any(_keys([one])))
        absent.update(side for one in of_a_side for side in sides_told(one, sets))
    return absent == BOTH or sets["bilateral-mastectomy"].holds_any(present)
