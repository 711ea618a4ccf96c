"""One scored exam as a FHIR RiskAssessment: five risks as percentages, each with the period it is meant for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from typing import Any

from fhir.resources.R4B.riskassessment import RiskAssessment

from fhir_mappings.codes import BREAST_CANCER_OUTCOME
from fhir_mappings.dates import instant, parse_partial_date, years_after
from fhir_mappings.elements import Json, as_object, objects
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.outgoing import (
    REMEMBERED,
    check_code,
    check_contained,
    check_plain,
    check_references,
    notes,
    patient_reference,
    plain_json,
    reference_to,
)
from model.domain import YEARS, ModelVersion, ScoredExam

# R4 value set observation-status (required binding of RiskAssessment.status).
_STATUSES = frozenset(
    {"registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"}
)
_WRITTEN_STATUSES = frozenset({"final", "amended"})
# R4 RiskAssessment: the types each reference may have.
_REFERENCE_TYPES = {
    "subject": frozenset({"Patient", "Group"}),
    "encounter": frozenset({"Encounter"}),
    "condition": frozenset({"Condition"}),
    "performer": frozenset({"Practitioner", "PractitionerRole", "Device"}),
}


def risk_assessment(
    exam: ScoredExam,
    patient_id: str,
    *,
    identifier_system: str,
    method_text: str,
    note: str | None = None,
    status: str = "final",
    earlier: Sequence[str] = (),
) -> dict[str, Any]:
    """A valid R4 RiskAssessment of one exam, as plain JSON; the risks are percentages of the unrounded values (ras-2).

    `status` is `final` or `amended`; `earlier` are references to the assessments of her earlier exams. Raises
    ResourceProblem for what cannot be written, such as an illegal patient id or an empty method, and ValueError for a
    scoring time without a time zone.
    """
    return dict(json.loads(_written(exam, patient_id, identifier_system, method_text, note, status, tuple(earlier))))


@lru_cache(maxsize=REMEMBERED)
def _written(
    exam: ScoredExam,
    patient_id: str,
    identifier_system: str,
    method_text: str,
    note: str | None,
    status: str,
    earlier: tuple[str, ...],
) -> str:
    """As text, so that nobody who changes what was made of it changes what the next one gets."""
    content: Json = {
        "resourceType": "RiskAssessment",
        "contained": [_device(exam.score.model)],
        "identifier": [{"system": identifier_system, "value": assessment_identifier(exam, patient_id)}],
        "status": status,
        "method": {"text": method_text},
        "subject": patient_reference(patient_id),
        "occurrenceDateTime": instant(exam.scored_at),
        "performer": {"reference": "#device"},
        "prediction": [_prediction(exam, years) for years in YEARS],
    }
    study = reference_to(exam.imaging_study, "ImagingStudy")
    basis = [*([study] if study else []), *_earlier(earlier)]
    written = plain_json(RiskAssessment, content, basis=basis, note=notes(note))
    check_code(written, "status", _WRITTEN_STATUSES)
    check_risk_assessment(written)
    return json.dumps(written)


def retracted(resource: Json) -> dict[str, Any]:
    """The same RiskAssessment as one that should never have been: what it said stays readable, and void."""
    void = {**resource, "status": "entered-in-error"}
    check_risk_assessment(void)
    return void


def assessment_identifier(exam: ScoredExam, patient_id: str) -> str:
    """The same value for the same study, model and patient, so that a second write finds the first and updates it.

    The patient is a part of it: where a study was first filed under somebody else, hers must not be found for it. A
    hash, because the parts hold characters that a search has to escape, and because a study UID in a query ends up in
    the access logs along the way.
    """
    return sha256(f"{exam.study_uid}\n{exam.score.model.key}\n{patient_id}".encode()).hexdigest()


def _earlier(references: Iterable[str]) -> list[Json]:
    found = [reference_to(reference, "RiskAssessment") for reference in references]
    if not all(found):
        raise ResourceProblem("an earlier assessment must be named as RiskAssessment/ and its id")
    return [reference for reference in found if reference]


def _prediction(exam: ScoredExam, years: int) -> Json:
    """The risk within some years of the exam; without a period R4 would read it as the risk of a lifetime."""
    end = years_after(exam.performed_on, years)
    outcome = BREAST_CANCER_OUTCOME
    return {
        "outcome": {"coding": [{"system": outcome.system, "code": outcome.code, "display": outcome.display}]},
        "probabilityDecimal": _percentage(exam.score.calibrated[years - 1]),
        "whenPeriod": {"start": exam.performed_on.isoformat(), "end": end.isoformat()},
    }


def _percentage(risk: float) -> float:
    """The shortest decimal that means the fraction, times 100: 0.017 is 1.7, not 1.7000000000000002."""
    return float(Decimal(repr(float(risk))) * 100)


def _device(model: ModelVersion) -> Json:
    parts = (("weights", model.weights), ("preprocessing", model.preprocessing), ("calibration", model.calibration))
    return {
        "resourceType": "Device",
        "id": "device",
        "deviceName": [{"name": model.name, "type": "model-name"}],
        "version": [{"type": {"text": part}, "value": value} for part, value in parts],
    }


def check_risk_assessment(resource: object) -> None:
    """Raises ResourceProblem for what the R4B models accept and R4, or an unambiguous reading of the risk, forbids."""
    assessment = as_object(resource)
    if assessment.get("resourceType") != "RiskAssessment":
        raise ResourceProblem("not a RiskAssessment")
    check_plain(assessment)
    check_code(assessment, "status", _STATUSES)
    for element, types in _REFERENCE_TYPES.items():
        check_references(assessment, element, types)
    check_contained(assessment)
    for prediction in objects(assessment.get("prediction")):
        _check_probability(prediction)
        _check_when(prediction)


def _check_probability(prediction: Json) -> None:
    low, high = _bounds(prediction, "probabilityRange")
    for percentage in (_number(prediction.get("probabilityDecimal")), low, high):
        if percentage is not None and not 0 <= percentage <= 100:
            raise ResourceProblem("a probability is a percentage from 0 to 100 (ras-2)")


def _check_when(prediction: Json) -> None:
    period = as_object(prediction.get("whenPeriod"))
    if bool(period) == bool(as_object(prediction.get("whenRange"))):
        raise ResourceProblem("a prediction needs one whenPeriod or whenRange: without, it means a lifetime")
    start, end = parse_partial_date(period.get("start")), parse_partial_date(period.get("end"))
    if start and end and start.earliest > end.latest:
        raise ResourceProblem("whenPeriod ends before it starts")
    _bounds(prediction, "whenRange")


def _bounds(prediction: Json, element: str) -> tuple[float | None, float | None]:
    """The low and high of a Range, which must be in that order."""
    bounds = as_object(prediction.get(element))
    low, high = (_number(as_object(bounds.get(end)).get("value")) for end in ("low", "high"))
    if low is not None and high is not None and low > high:
        raise ResourceProblem(f"{element} has a low above its high")
    return low, high


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ResourceProblem("a probability or age is not a number")
    return value
