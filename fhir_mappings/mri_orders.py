"""The draft breast MRI order that a card offers."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from fhir.resources.R4B.servicerequest import ServiceRequest

from fhir_mappings.codes import DEFAULT_MRI_ORDER, Coding
from fhir_mappings.elements import Json, as_object
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

INTENTS = frozenset({"order", "proposal"})
# R4 ServiceRequest.requester allows more; a draft of ours is only ever put into a clinician's hands.
_REQUESTERS = frozenset({"Practitioner", "PractitionerRole"})


def mri_order(
    patient_id: str,
    *,
    coding: Coding = DEFAULT_MRI_ORDER,
    equivalents: tuple[Coding, ...] = (),
    intent: str = "order",
    reason: str,
    imaging_study: str | None = None,
    requester: str | None = None,
    note: str | None = None,
) -> dict[str, Any]:
    """A draft ServiceRequest for breast MRI, as plain JSON: the site's own code first, `equivalents` beside it.

    A requester that is no clinician (a patient may use the EHR too) and a reference that is no ImagingStudy are left
    out. Raises ResourceProblem for what cannot be written.
    """
    # Junk is left out before it is remembered: a caller may send megabytes of it.
    named = reference_to(requester, *_REQUESTERS)
    clinician = named["reference"] if named else None
    return dict(json.loads(_written(patient_id, coding, equivalents, intent, reason, imaging_study, clinician, note)))


@lru_cache(maxsize=REMEMBERED)
def _written(
    patient_id: str,
    coding: Coding,
    equivalents: tuple[Coding, ...],
    intent: str,
    reason: str,
    imaging_study: str | None,
    clinician: str | None,
    note: str | None,
) -> str:
    """As text, so that nobody who changes what was made of it changes what the next one gets."""
    content: Json = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": intent,
        "code": {"coding": [_coding(each) for each in (coding, *equivalents)], "text": coding.display or "Breast MRI"},
        "subject": patient_reference(patient_id),
        "reasonCode": [{"text": reason}],
    }
    mammogram = reference_to(imaging_study, "ImagingStudy")
    supporting = [mammogram] if mammogram else []
    order = plain_json(
        ServiceRequest,
        content,
        requester=reference_to(clinician, *_REQUESTERS),
        supportingInfo=supporting,
        note=notes(note),
    )
    check_mri_order(order)
    return json.dumps(order)


def _coding(coding: Coding) -> Json:
    written = {"system": coding.system, "code": coding.code}
    return written | {"display": coding.display} if coding.display else written


def check_mri_order(resource: object) -> None:
    """Raises ResourceProblem for what the R4B models accept and R4, or a harmless draft, forbids."""
    order = as_object(resource)
    if order.get("resourceType") != "ServiceRequest":
        raise ResourceProblem("not a ServiceRequest")
    check_plain(order)
    check_code(order, "status", frozenset({"draft"}))
    check_code(order, "intent", INTENTS)
    check_references(order, "subject", frozenset({"Patient"}))
    check_references(order, "requester", _REQUESTERS)
    check_contained(order)
