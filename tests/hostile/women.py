"""Two women of one site, and everything that names them marked, so that it is found wherever it comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_mappings.codes import CPT
from hooks.service import Service
from tests.builders import imaging_study, searchset
from tests.cds.builders import fhir_patient, service_request

Json = dict[str, Any]

MARK = "Canary"
FHIR_SERVER = "https://ehr.example/r4"
HOSTILE_VALUE = f"{MARK}Hostile"


@dataclass(frozen=True)
class Woman:
    """A patient with one scored exam; `shown` is her risk as cards write it, and the other's is another one."""

    name: str
    study_uid: str
    five_year: float
    shown: str

    @property
    def id(self) -> str:
        """Her FHIR id."""
        return f"{self.name}-id"

    @property
    def mrn(self) -> str:
        """The patient ID on her images."""
        return f"{self.name}-mrn"

    @property
    def token(self) -> str:
        """The access token that her EHR lends for a call."""
        return f"{self.name}-token"


ADA = Woman(f"{MARK}Ada", "1.2.840.99.1", 0.066, "6.6")
BERTA = Woman(f"{MARK}Berta", "1.2.840.99.2", 0.234, "23.4")
WOMEN = (ADA, BERTA)


def other(woman: Woman) -> Woman:
    """The one whose data the woman's answer must not hold."""
    return BERTA if woman is ADA else ADA


def hook_call(service: Service, woman: Woman) -> Json:
    """A whole and valid call of a service, with something in every part of the chart."""
    return {
        "hook": service.hook,
        "hookInstance": f"{woman.name}-instance",
        "fhirServer": FHIR_SERVER,
        "fhirAuthorization": {
            "access_token": woman.token,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.rs",
            "subject": f"{woman.name}-subject",
            "patient": woman.id,
        },
        "context": _context(service, woman),
        "prefetch": chart(woman),
    }


def _context(service: Service, woman: Woman) -> Json:
    seen = {
        "userId": f"Practitioner/{woman.name}-doctor",
        "patientId": woman.id,
        "encounterId": f"{woman.name}-encounter",
    }
    if service.hook == "patient-view":
        return seen
    order = service_request("77067", f"{woman.name}-order", woman.id)
    drafts = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": order}]}
    chosen = {"selections": [f"ServiceRequest/{woman.name}-order"]} if service.hook == "order-select" else {}
    return seen | {"draftOrders": drafts} | chosen


def chart(woman: Woman) -> Json:
    """Her prefetch: one mammogram, and nothing that keeps an MRI suggestion back."""
    hers = {"reference": f"Patient/{woman.id}"}

    def record(kind: str, **elements: Any) -> Json:
        return searchset({"resourceType": kind, "id": f"{woman.name}-{kind}", **elements})

    return {
        "patient": fhir_patient(
            woman.id,
            identifier=[{"system": "urn:mrn", "value": woman.mrn}],
            name=[{"family": f"{woman.name}-family", "given": [f"{woman.name}-given"]}],
        ),
        "mammograms": searchset(
            imaging_study(
                woman.id, "2026-05-03", woman.study_uid, id=f"{woman.name}-study", description=f"{woman.name}-words"
            )
        ),
        "conditions": record(
            "Condition",
            subject=hers,
            clinicalStatus=_coded("active"),
            code=_coded("J45", "http://hl7.org/fhir/sid/icd-10-cm"),
        ),
        "procedures": record(
            "Procedure",
            subject=hers,
            status="completed",
            code=_coded("71020", CPT),
            performedDateTime="2019-05",
        ),
        "orders": searchset(service_request("71020", f"{woman.name}-old-order", woman.id)),
        "allergies": record("AllergyIntolerance", patient=hers, code=_coded("227037002", "http://snomed.info/sct")),
        "observations": record(
            "Observation",
            subject=hers,
            status="final",
            code=_coded("82810-3", "http://loinc.org"),
            valueCodeableConcept=_coded("60001007", "http://snomed.info/sct"),
            effectiveDateTime="2026-05-01T10:00:00Z",
        ),
    }


def _coded(code: str, system: str | None = None) -> Json:
    return {"coding": [{"system": system, "code": code} if system else {"code": code}]}


def feedback(card: str) -> Json:
    """What an EHR reports of one card that was accepted and one that was overridden."""
    return {
        "feedback": [
            {
                "card": card,
                "outcome": "accepted",
                "outcomeTimestamp": "2026-05-20T23:31:00Z",
                "acceptedSuggestions": [{"id": f"{MARK}-suggestion"}],
            },
            {
                "card": card,
                "outcome": "overridden",
                "outcomeTimestamp": "2026-05-20T23:32:00Z",
                "overrideReason": {
                    "reason": {"code": f"{MARK}-reason", "system": "urn:x"},
                    "userComment": f"{MARK}-comment",
                },
            },
        ]
    }
