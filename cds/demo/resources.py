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
    orders = [_draft(f"draft-{i}", patient_id, code) for i, code in enumerate((SCREENING_CODE, *drafted_codes))]
    return {
        "hook": "order-select",
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
        "context": {
            "userId": "Practitioner/demo",
            "patientId": patient_id,
            "selections": ["ServiceRequest/draft-0"],
            "draftOrders": {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [{"resource": order} for order in orders],
            },
        },
    }


def call_for(woman: DemoPatient, fhir_server: str, token: str) -> Json:
    """The call for one of the cast."""
    return order_select(woman.id, fhir_server, token, woman.drafted_codes)


def _draft(order_id: str, patient_id: str, code: str) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "id": order_id,
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": CPT, "code": code}]},
        "subject": {"reference": f"Patient/{patient_id}"},
    }
