"""What can be ordered in the embedded EHR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cds.demo.patients import MRI_CODE
from cds.demo.resources import SCREENING_CODE, draft_order

Json = dict[str, Any]
ORDER_TYPES = ("ServiceRequest", "MedicationRequest")
DIAGNOSTIC_CODE = "77066"
EXAMINATIONS = {
    SCREENING_CODE: "Screening mammogram",
    DIAGNOSTIC_CODE: "Diagnostic mammogram",
    MRI_CODE: "Breast MRI",
}
"""What the clinic calls an examination, by its CPT code."""
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


@dataclass(frozen=True)
class Orderable:
    """One line of the order catalogue; `draft` makes its unsigned order for a patient."""

    key: str
    name: str
    about: str
    draft: Callable[[str], Json]


def _examination(key: str, code: str) -> Orderable:
    name = EXAMINATIONS[code]

    def draft(patient_id: str) -> Json:
        order = draft_order(patient_id, code)
        return {**order, "code": {**order["code"], "text": name}}

    return Orderable(key, name, f"CPT {code}", draft)


def _drug(patient_id: str) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": "5640"}], "text": "Ibuprofen 400 mg"},
        "subject": {"reference": f"Patient/{patient_id}"},
    }


CATALOGUE = (
    _examination("screening", SCREENING_CODE),
    _examination("diagnostic", DIAGNOSTIC_CODE),
    _examination("mri", MRI_CODE),
    Orderable("drug", "Ibuprofen", "400 mg, a drug", _drug),
)
