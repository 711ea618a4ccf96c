"""Reading from sekmet-fhir as the EHR, writing to it, and getting its tokens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
import requests
from joserfc.jwk import ECKey, RSAKey

from cds.ehr.backend_token import BackendClient, BackendToken
from cds.ehr.client import FhirEhr
from cds.ehr.prefetch import complete
from cds.ehr.signing_key import SigningKey
from cds.ehr.write_back import Written, put
from cds.errors import EhrConflict, EhrNotFound, EhrRefused, EhrRejected
from fhir_mappings.risk_assessments import retracted, risk_assessment
from model.domain import ModelVersion, RiskScore, ScoredExam
from tests.builders import imaging_study, new_uid
from tests.servers import SekmetServer, sekmet

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
    chart: dict[str, Any] = complete(TEMPLATES, {}, {"patientId": patient_id}, ehr).values
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
    chart: dict[str, Any] = complete(TEMPLATES, {"mammograms": first_page}, {"patientId": patient_id}, ehr).values
    assert len(chart["mammograms"]["entry"]) == 5


def test_a_wrong_token_is_refused(sekmet_server: SekmetServer, patient_id: str) -> None:
    with FhirEhr(sekmet_server.url, "wrong") as ehr, pytest.raises(EhrRefused, match="401"):
        ehr.read(f"Patient/{patient_id}")


def test_an_unknown_patient_is_not_found(ehr: FhirEhr) -> None:
    with pytest.raises(EhrNotFound):
        ehr.read("Patient/nobody")


def assessment(patient_id: str, study_uid: str, **more: Any) -> dict[str, Any]:
    """The assessment of one exam."""
    model = ModelVersion("Mirai", "a" * 64, "preprocessing-1", "calibration-1")
    score = RiskScore((0.004, 0.008, 0.0112, 0.0145, 0.017), (0.01, 0.02, 0.03, 0.04, 0.05), model)
    exam = ScoredExam(study_uid, date(2026, 5, 3), score, datetime(2026, 5, 3, 23, 5, tzinfo=UTC))
    return risk_assessment(exam, patient_id, identifier_system="urn:mammotrend:test", method_text="Mirai", **more)


def test_an_assessment_is_put_into_the_chart_once_changed_and_retracted(ehr: FhirEhr, patient_id: str) -> None:
    study_uid = new_uid()
    first = put(ehr, assessment(patient_id, study_uid))
    assert first.changed
    assert put(ehr, assessment(patient_id, study_uid)) == replace(first, changed=False)
    amended = assessment(patient_id, study_uid, status="amended", note="Research use")
    assert put(ehr, amended) == Written(first.reference, "2", changed=True)
    assert put(ehr, retracted(amended)) == Written(first.reference, "3", changed=True)
    # This server knows no search parameter of RiskAssessment: it answers with all there are, and a warning.
    resources = [entry["resource"] for entry in ehr.search(f"RiskAssessment?patient={patient_id}")["entry"]]
    (hers,) = (each for each in resources if each.get("subject") == {"reference": f"Patient/{patient_id}"})
    assert (hers["status"], hers["note"]) == ("entered-in-error", [{"text": "Research use"}])


def test_an_update_of_another_version_than_the_one_held_is_a_conflict(ehr: FhirEhr, patient_id: str) -> None:
    stored = ehr.create(assessment(patient_id, new_uid()))
    changed = {**stored, "note": [{"text": "Seen."}]}
    ehr.update(changed, if_match="1")
    with pytest.raises(EhrConflict, match="read it again"):
        ehr.update(changed, if_match="1")


def test_a_resource_that_is_not_valid_is_rejected(ehr: FhirEhr, patient_id: str) -> None:
    with pytest.raises(EhrRejected):
        ehr.create({**assessment(patient_id, new_uid()), "status": ["final"]})


LIFETIME_S = 2
KEYS = (ECKey.generate_key("P-384"), RSAKey.generate_key(2048))
READS = "system/Patient.rs system/ImagingStudy.rs"


@pytest.fixture(scope="module")
def smart_server() -> Iterator[SekmetServer]:
    """A sekmet-fhir whose tokens live two seconds, with a client for each of the keys."""
    # One key for a client: asked to try keys of two kinds, this server breaks.
    jwks = {key.key_type: {"keys": [key.as_dict(private=False)]} for key in KEYS}
    clients: list[dict[str, object]] = [
        {"client_id": kind, "jwks": keys, "scopes": READS} for kind, keys in jwks.items()
    ]
    with sekmet(clients, LIFETIME_S) as server:
        yield server


def client(server: SekmetServer, key: ECKey | RSAKey = KEYS[0], scope: str = READS) -> BackendClient:
    algorithm = "RS384" if isinstance(key, RSAKey) else "ES384"
    return BackendClient(server.url, key.key_type, SigningKey(algorithm, key.thumbprint(), key), scope)


@pytest.mark.parametrize("key", KEYS)
def test_a_token_is_got_for_either_kind_of_key(smart_server: SekmetServer, key: ECKey | RSAKey) -> None:
    patient = create(smart_server, {"resourceType": "Patient", "birthDate": "1974-02-03"})
    with FhirEhr(smart_server.url, BackendToken(client(smart_server, key))) as ehr:
        assert ehr.read(f"Patient/{patient}")["birthDate"] == "1974-02-03"


def test_a_token_that_runs_out_between_two_pages_is_renewed(smart_server: SekmetServer) -> None:
    patient = create(smart_server, {"resourceType": "Patient", "birthDate": "1974-02-03"})
    for year in range(2020, 2025):
        create(smart_server, imaging_study(patient, f"{year}-01-05T09:00:00Z", new_uid()))
    began = datetime.now(UTC)
    # On this clock the token never ends: only the server's refusal shows that it has.
    tokens = BackendToken(client(smart_server), now=lambda: began)
    with FhirEhr(smart_server.url, tokens) as ehr:
        pages = ehr.pages(f"ImagingStudy?patient={patient}&_sort=started&_count=2")
        found, first = [next(pages)], tokens.bearer()
        wait_until_refused(smart_server, first)
        found += pages
    years = [entry["resource"]["started"][:4] for page in found for entry in page["entry"]]
    assert years == ["2020", "2021", "2022", "2023", "2024"]
    assert tokens.bearer() is not first


def wait_until_refused(server: SekmetServer, token: requests.auth.AuthBase) -> None:
    """Wait until the server refuses the token, at most ten of its lives."""
    for _ in range(LIFETIME_S * 10 * 5):
        if requests.get(f"{server.url}/Patient?_count=1", auth=token, timeout=10).status_code == 401:
            return
        time.sleep(0.2)
    pytest.fail("the token never ran out")


def test_a_key_that_the_server_does_not_know_is_refused(smart_server: SekmetServer) -> None:
    with pytest.raises(EhrRefused, match="invalid_client"):
        BackendToken(client(smart_server, ECKey.generate_key("P-384"))).bearer()


def test_a_scope_that_the_client_may_not_have_is_refused(smart_server: SekmetServer) -> None:
    with pytest.raises(EhrRefused, match="invalid_scope"):
        BackendToken(client(smart_server, scope="system/RiskAssessment.crus")).bearer()


def test_a_token_does_not_reach_beyond_its_scope(smart_server: SekmetServer) -> None:
    patient = create(smart_server, {"resourceType": "Patient", "birthDate": "1974-02-03"})
    with FhirEhr(smart_server.url, BackendToken(client(smart_server, scope="system/Patient.rs"))) as ehr:
        assert ehr.read(f"Patient/{patient}")["id"] == patient
        for call in (lambda: ehr.search("ImagingStudy?modality=MG"), lambda: put(ehr, assessment(patient, new_uid()))):
            with pytest.raises(EhrRefused, match="403"):
                call()
