"""One woman's chart and orders as servers of FHIR before R4 hold them (hl7.org/fhir/DSTU2 and hl7.org/fhir/STU3)."""

from __future__ import annotations

from typing import Any

from fhir_mappings.codes import CPT
from tests.builders import operation_outcome, searchset
from tests.cds.builders import PATIENT, Json
from tests.conformance.calls import CALLS, PATIENT_VIEW

HERS = {"reference": f"Patient/{PATIENT}"}
MG = {"system": "http://nema.org/dicom/dicm", "code": "MG"}
UID = "1.2.1"
ORDER_TYPES = {
    "DSTU2": ("ProcedureRequest", "DiagnosticOrder", "ReferralRequest"),
    "STU3": ("ProcedureRequest", "ReferralRequest"),
}
"""What orders an examination in each version."""


def old_patient(**elements: Any) -> Json:
    """DSTU2 and STU3: several family names, an animal that she is not, links without a type."""
    return {
        "resourceType": "Patient",
        "id": PATIENT,
        "identifier": [{"use": "usual", "system": "urn:oid:1.2.36.146", "value": "MRN-1"}],
        "name": [{"use": "official", "family": ["Chalmers", "Windsor"], "given": ["Petra"]}],
        "gender": "female",
        "birthDate": "1974-02-01",
        "deceasedBoolean": False,
        "maritalStatus": {"coding": [{"system": "http://hl7.org/fhir/marital-status", "code": "M"}]},
        "careProvider": [{"reference": "Organization/1"}],
        "animal": {"species": {"text": "none"}},
        "link": [{"other": HERS}],
        **elements,
    }


def dstu2_study(**elements: Any) -> Json:
    """DSTU2 ImagingStudy: `patient`, `uid` and `accession` beside the identifiers, `modalityList`."""
    return {
        "resourceType": "ImagingStudy",
        "id": "s1",
        "patient": HERS,
        "started": "2026-05-03T11:01:20+03:00",
        "uid": f"urn:oid:{UID}",
        "accession": {"system": "urn:acc", "value": "ACC-1"},
        "identifier": [{"value": "55551234"}],
        "order": [{"reference": "DiagnosticOrder/o1"}],
        "modalityList": [MG],
        "availability": "ONLINE",
        "url": "http://pacs.example/wado",
        "numberOfSeries": 1,
        "numberOfInstances": 4,
        "procedure": [{"reference": "Procedure/p1"}],
        "series": [
            {
                "number": 1,
                "modality": MG,
                "uid": f"urn:oid:{UID}.1",
                "numberOfInstances": 1,
                "availability": "ONLINE",
                "url": "http://pacs.example/wado/1",
                "instance": [{"number": 1, "uid": f"urn:oid:{UID}.1.1", "sopClass": "urn:oid:1.2.840.10008.5.1"}],
            }
        ],
        **elements,
    }


def stu3_study(**elements: Any) -> Json:
    """STU3 ImagingStudy: the same with `context`, `basedOn`, endpoints and references to procedures."""
    study = dstu2_study()
    for name in ("order", "url", "procedure"):
        del study[name]
    added = {
        "context": {"reference": "Encounter/e1"},
        "basedOn": [{"reference": "ProcedureRequest/o1"}],
        "endpoint": [{"reference": "Endpoint/e1"}],
        "procedureReference": [{"reference": "Procedure/p1"}],
        "procedureCode": [{"text": "mammography"}],
    }
    return {**study, **added, **elements}


def old_condition(code: str = "38341003", **elements: Any) -> Json:
    """DSTU2 Condition: `patient`, `dateRecorded`, and statuses that are codes."""
    return {
        "resourceType": "Condition",
        "id": "c1",
        "patient": HERS,
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
        "category": {"coding": [{"system": "http://hl7.org/fhir/condition-category", "code": "diagnosis"}]},
        "clinicalStatus": "active",
        "verificationStatus": "confirmed",
        "dateRecorded": "2026-01-05",
        **elements,
    }


def stu3_condition(code: str = "38341003", **elements: Any) -> Json:
    """STU3 Condition: `subject`, `assertedDate`, and statuses that are codes."""
    condition = old_condition(code)
    del condition["patient"], condition["dateRecorded"]
    added = {"subject": HERS, "assertedDate": "2026-01-05", "abatementBoolean": False}
    return {**condition, **added, **elements}


def old_allergy(code: str = "227037002", **elements: Any) -> Json:
    """DSTU2 AllergyIntolerance: `substance` and the one `status`."""
    return {
        "resourceType": "AllergyIntolerance",
        "id": "a1",
        "patient": HERS,
        "substance": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
        "status": "confirmed",
        "criticality": "CRITH",
        "category": "food",
        **elements,
    }


def stu3_allergy(code: str = "227037002", **elements: Any) -> Json:
    """STU3 AllergyIntolerance: `code`, and two statuses that are codes."""
    allergy = old_allergy(code)
    substance = allergy.pop("substance")
    del allergy["status"]
    added = {"code": substance, "clinicalStatus": "active", "verificationStatus": "confirmed", "category": ["food"]}
    return {**allergy, **added, **elements}


def old_procedure(code: str = "80146002", **elements: Any) -> Json:
    """Procedure: whether it was done is said twice."""
    return {
        "resourceType": "Procedure",
        "id": "p1",
        "subject": HERS,
        "status": "completed",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
        "notPerformed": False,
        "performedDateTime": "2013-04-05",
        **elements,
    }


def old_observation(**elements: Any) -> Json:
    """Observation: a single category, and `related` observations."""
    return {
        "resourceType": "Observation",
        "id": "ob1",
        "subject": HERS,
        "status": "final",
        "category": {"coding": [{"system": "http://hl7.org/fhir/observation-category", "code": "imaging"}]},
        "code": {"coding": [{"system": "http://loinc.org", "code": "36625-2"}]},
        "related": [{"type": "derived-from", "target": {"reference": "Observation/ob0"}}],
        "comments": "old",
        **elements,
    }


def old_risk_assessment() -> Json:
    """RiskAssessment: an identifier and a method that are single, a percentage and a `date`."""
    return {
        "resourceType": "RiskAssessment",
        "id": "r1",
        "subject": HERS,
        "date": "2026-01-05",
        "identifier": {"system": "urn:mammotrend:risk-assessment", "value": "r"},
        "prediction": [{"outcome": {"text": "Breast cancer"}, "probabilityDecimal": 0.02}],
    }


def old_order(kind: str = "ProcedureRequest", code: str = "77067", order_id: str = "d1") -> Json:
    """An order as each type of it has its code."""
    concept = {"coding": [{"system": CPT, "code": code}]}
    order = {"resourceType": kind, "id": order_id, "status": "draft", "subject": HERS, "patient": HERS}
    if kind == "DiagnosticOrder":
        return {**order, "item": [{"code": concept, "status": "draft"}], "orderer": {"reference": "Practitioner/dr1"}}
    if kind == "ReferralRequest":
        return {**order, "serviceRequested": [concept], "intent": "order"}
    return {**order, "code": concept, "intent": "order", "authoredOn": "2026-05-20"}


def old_drug(kind: str = "MedicationOrder") -> Json:
    """A prescription as DSTU2 has it."""
    return {"resourceType": kind, "id": "m1", "status": "draft", "patient": HERS, "dateWritten": "2026-05-20"}


CHARTS: dict[str, Json] = {
    "DSTU2": {
        "patient": old_patient(),
        "mammograms": searchset(dstu2_study()),
        "conditions": searchset(old_condition()),
        "procedures": searchset(old_procedure()),
        "orders": operation_outcome("fatal", "not-supported"),
        "allergies": searchset(old_allergy()),
        "observations": searchset(old_observation(), old_risk_assessment()),
    },
    "STU3": {
        "patient": old_patient(name=[{"family": "Chalmers", "given": ["Petra"]}]),
        "mammograms": searchset(stu3_study()),
        "conditions": searchset(stu3_condition()),
        "procedures": searchset(old_procedure(notDone=False)),
        "orders": searchset(operation_outcome("error", "not-supported")),
        "allergies": searchset(stu3_allergy()),
        "observations": searchset(old_observation(category=[{"text": "imaging"}]), old_risk_assessment()),
    },
}
"""A whole prefetch of each version; neither knows the type ServiceRequest."""


def old_call(service_id: str, version: str, *drafts: Json, **prefetched: Any) -> Json:
    """A whole call of a service with the prefetch of a version, and these drafts, the first of them selected."""
    body = CALLS[service_id](prefetch=CHARTS[version] | prefetched)
    if service_id != PATIENT_VIEW and drafts:
        body["context"]["draftOrders"]["entry"] = [{"resource": draft} for draft in drafts]
    if "selections" in body["context"] and drafts:
        body["context"]["selections"] = [f"{drafts[0]['resourceType']}/{drafts[0]['id']}"]
    return body
