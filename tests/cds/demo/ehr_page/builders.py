"""Cards as a service sends them."""

from __future__ import annotations

from typing import Any

from tests.cds.builders import PATIENT

Json = dict[str, Any]
REASON = {"code": "patient-declined", "system": "urn:reasons", "display": "Patient declines"}
SUBJECT = {"reference": f"Patient/{PATIENT}"}
MRI = {
    "resourceType": "ServiceRequest",
    "status": "draft",
    "intent": "order",
    "code": {"text": "MRI"},
    "subject": SUBJECT,
}
RISK = {
    "resourceType": "RiskAssessment",
    "status": "final",
    "identifier": [{"system": "urn:risk", "value": "exam-1"}],
    "method": {"text": "Demo model"},
    "subject": SUBJECT,
    "prediction": [
        {"probabilityDecimal": 7.1, "whenPeriod": {"start": "2026-05-03", "end": "2031-05-03"}},
        {"probabilityDecimal": 1.2, "whenPeriod": {"start": "2026-05-03", "end": "2027-05-03"}},
    ],
}


def card(uuid: str = "card-1", **members: Any) -> Json:
    """A card that offers an MRI order (`mri`) and a RiskAssessment (`risk`), with one reason to override it."""
    return {
        "uuid": uuid,
        "summary": "Increased 5-year image-based score",
        "detail": "Score **7.1 %**",
        "indicator": "warning",
        "source": {"label": "MammoTrend"},
        "suggestions": [_suggestion("mri", "Draft an MRI", MRI), _suggestion("risk", "Record the risk", RISK)],
        "selectionBehavior": "any",
        "overrideReasons": [REASON],
        **members,
    }


def _suggestion(uuid: str, label: str, resource: Json) -> Json:
    return {
        "uuid": uuid,
        "label": label,
        "actions": [{"type": "create", "description": label, "resource": resource}],
    }
