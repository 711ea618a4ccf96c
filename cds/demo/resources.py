"""FHIR resources of the embedded hospital and the calls that its EHR fires."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from pydicom import Dataset

from cds.demo.patients import DemoPatient
from fhir_mappings.codes import CPT, DCM, DICOM_UID, MAMMOGRAPHY_MODALITY

Json = dict[str, Any]

PATIENT_ID_SYSTEM = "urn:mammotrend:demo:patient-id"
SCREENING_CODE = "77067"
CLINICIAN = "Practitioner/demo"


def patient(patient_id: str, name: str, birth_date: date | None, dicom_ids: Iterable[str]) -> Json:
    """A woman, with the patient IDs that her images carry."""
    given, _, family = name.partition(" ")
    resource: Json = {
        "resourceType": "Patient",
        "id": patient_id,
        "identifier": [{"system": PATIENT_ID_SYSTEM, "value": value} for value in dicom_ids],
        "name": [{"given": [given], "family": family}],
        "gender": "female",
    }
    return resource | ({"birthDate": birth_date.isoformat()} if birth_date else {})


def imaging_study(resource_id: str, patient_id: str, image: Dataset, images: int) -> Json:
    """A mammography study as an EHR lists it."""
    day = str(image.StudyDate)
    return {
        "resourceType": "ImagingStudy",
        "id": resource_id,
        "identifier": [{"system": DICOM_UID, "value": f"urn:oid:{image.StudyInstanceUID}"}],
        "status": "available",
        "modality": [{"system": DCM, "code": MAMMOGRAPHY_MODALITY}],
        "subject": {"reference": f"Patient/{patient_id}"},
        "started": f"{day[:4]}-{day[4:6]}-{day[6:]}",
        # R4 defines the search parameter `modality` by the series, so a study without them is not found by it.
        "series": [
            {
                "uid": str(image.SeriesInstanceUID),
                "modality": {"system": DCM, "code": MAMMOGRAPHY_MODALITY},
                "numberOfInstances": images,
            }
        ],
        "numberOfSeries": 1,
        "numberOfInstances": images,
    }


def order_select(patient_id: str, fhir_server: str, token: str, drafted_codes: Sequence[str] = ()) -> Json:
    """The call an EHR fires when a screening mammogram is selected, beside orders drafted before it."""
    orders = [draft_order(patient_id, code, f"draft-{i}") for i, code in enumerate((SCREENING_CODE, *drafted_codes))]
    context = {"selections": ["ServiceRequest/draft-0"], "draftOrders": collection(orders)}
    return hook_call("order-select", patient_id, fhir_server, token, context)


def hook_call(hook: str, patient_id: str, fhir_server: str, token: str, context: Json) -> Json:
    """A call of any hook; `context` is what this hook has beside the clinician and the patient."""
    return {
        "hook": hook,
        "hookInstance": str(uuid.uuid4()),
        "fhirServer": fhir_server,
        "fhirAuthorization": {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/Patient.rs patient/ImagingStudy.rs patient/Condition.rs patient/Procedure.rs "
            "patient/ServiceRequest.rs",
            "subject": "mammotrend",
            "patient": patient_id,
        },
        "context": {"userId": CLINICIAN, "patientId": patient_id, **context},
    }


def call_for(woman: DemoPatient, fhir_server: str, token: str) -> Json:
    """The call for one of the cast."""
    return order_select(woman.id, fhir_server, token, woman.drafted_codes)


def draft_order(patient_id: str, code: str, order_id: str | None = None) -> Json:
    """An unsigned order of an examination, by its CPT code."""
    order: Json = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": CPT, "code": code}]},
        "subject": {"reference": f"Patient/{patient_id}"},
    }
    return order | ({"id": order_id} if order_id else {})


def collection(resources: Iterable[Json]) -> Json:
    """A Bundle of resources, as a hook's context has its drafts."""
    # FHIR JSON has no empty arrays (R4, JSON representation).
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "collection", **({"entry": entries} if entries else {})}
