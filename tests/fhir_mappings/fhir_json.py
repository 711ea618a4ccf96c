"""Small FHIR resources for the tests: each says only what its test is about."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
PATIENT = "p1"
UID = "1.2.840.99999.1.7"


def bundle(*resources: Any, **more: Any) -> Json:
    """A searchset with these resources as its entries."""
    entries = [{"fullUrl": f"https://ehr.example/{index}", "resource": each} for index, each in enumerate(resources)]
    return {"resourceType": "Bundle", "type": "searchset", **({"entry": entries} if entries else {}), **more}


def outcome(severity: str = "error", code: str = "exception", **issue: Any) -> Json:
    """An OperationOutcome of one issue."""
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code, **issue}]}


def patient(**more: Any) -> Json:
    """The tests' patient."""
    return {"resourceType": "Patient", "id": PATIENT, **more}


def study(uid: str = UID, patient_id: str = PATIENT, **more: Any) -> Json:
    """A mammography ImagingStudy with its UID in R4's own form."""
    return {
        "resourceType": "ImagingStudy",
        "id": "s1",
        "status": "available",
        "subject": {"reference": f"Patient/{patient_id}"},
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}],
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "MG"}],
        **more,
    }


def endpoint(address: str, **more: Any) -> Json:
    """An active WADO-RS Endpoint."""
    kind = {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "dicom-wado-rs"}
    return {
        "resourceType": "Endpoint",
        "id": "e1",
        "status": "active",
        "connectionType": kind,
        "address": address,
        **more,
    }


def concept(system: str, code: str) -> Json:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code}]}


def service_request(
    code: str = "77067", system: str = "http://www.ama-assn.org/go/cpt", patient_id: str = PATIENT, **more: Any
) -> Json:
    """A draft order of the tests' patient."""
    return {
        "resourceType": "ServiceRequest",
        "id": "o1",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": f"Patient/{patient_id}"},
        "code": concept(system, code),
        **more,
    }


def condition(system: str, code: str, patient_id: str = PATIENT, **more: Any) -> Json:
    """A Condition of one code."""
    subject = {"reference": f"Patient/{patient_id}"}
    return {"resourceType": "Condition", "subject": subject, "code": concept(system, code), **more}


def procedure(system: str, code: str, patient_id: str = PATIENT, **more: Any) -> Json:
    """A completed Procedure of one code."""
    found = condition(system, code, patient_id, status="completed", **more)
    return {**found, "resourceType": "Procedure"}
