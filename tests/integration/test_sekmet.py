"""Reading from sekmet-fhir as the EHR."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from cds.ehr.client import FhirEhr
from cds.ehr.prefetch import complete
from cds.errors import EhrNotFound, EhrRefused
from tests.builders import imaging_study, new_uid
from tests.servers import SekmetServer

pytestmark = pytest.mark.integration

TEMPLATES = {
    "patient": "Patient/{{context.patientId}}",
    "mammograms": "ImagingStudy?patient={{context.patientId}}&modality=MG&_sort=-started&_count=2",
    "conditions": "Condition?patient={{context.patientId}}",
}


@pytest.fixture
def ehr(sekmet_server: SekmetServer) -> Iterator[FhirEhr]:
    with FhirEhr(sekmet_server.url, sekmet_server.token) as ehr:
        yield ehr


def create(server: SekmetServer, resource: dict[str, Any]) -> str:
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/fhir+json"}
    answer = requests.post(f"{server.url}/{resource['resourceType']}", json=resource, headers=headers, timeout=10)
    assert answer.status_code == 201, answer.text
    created: str = answer.json()["id"]
    return created


@pytest.fixture
def patient_id(sekmet_server: SekmetServer) -> str:
    """A woman with five mammograms, and a bystander with one."""
    patient_id, bystander = (
        create(sekmet_server, {"resourceType": "Patient", "gender": "female", "birthDate": "1974-02-03"})
        for _ in range(2)
    )
    for year in (2023, 2021, 2025, 2022, 2024):
        create(sekmet_server, imaging_study(patient_id, f"{year}-01-05T09:00:00Z", new_uid()))
    create(sekmet_server, imaging_study(bystander, "2025-06-05T09:00:00Z", new_uid()))
    return patient_id


def test_a_patient_is_read(ehr: FhirEhr, patient_id: str) -> None:
    assert ehr.read(f"Patient/{patient_id}")["birthDate"] == "1974-02-03"


def test_all_pages_of_a_search_arrive_newest_first(ehr: FhirEhr, patient_id: str) -> None:
    found = ehr.search(f"ImagingStudy?patient={patient_id}&modality=MG&_sort=-started&_count=2")
    assert [entry["resource"]["started"][:4] for entry in found["entry"]] == ["2025", "2024", "2023", "2022", "2021"]


def test_an_empty_prefetch_is_completed(ehr: FhirEhr, patient_id: str) -> None:
    chart: dict[str, Any] = complete(TEMPLATES, {}, {"patientId": patient_id}, ehr)
    assert chart["patient"]["id"] == patient_id
    assert len(chart["mammograms"]["entry"]) == 5
    assert chart["conditions"]["entry"] == []


def test_a_prefetch_that_holds_the_first_page_is_completed(
    ehr: FhirEhr, sekmet_server: SekmetServer, patient_id: str
) -> None:
    query = f"ImagingStudy?patient={patient_id}&modality=MG&_sort=-started&_count=2"
    headers = {"Authorization": f"Bearer {sekmet_server.token}"}
    first_page = requests.get(f"{sekmet_server.url}/{query}", headers=headers, timeout=10).json()
    assert len(first_page["entry"]) == 2
    chart: dict[str, Any] = complete(TEMPLATES, {"mammograms": first_page}, {"patientId": patient_id}, ehr)
    assert len(chart["mammograms"]["entry"]) == 5


def test_a_wrong_token_is_refused(sekmet_server: SekmetServer, patient_id: str) -> None:
    with FhirEhr(sekmet_server.url, "wrong") as ehr, pytest.raises(EhrRefused, match="401"):
        ehr.read(f"Patient/{patient_id}")


def test_an_unknown_patient_is_not_found(ehr: FhirEhr) -> None:
    with pytest.raises(EhrNotFound):
        ehr.read("Patient/nobody")
