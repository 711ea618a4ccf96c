"""The embedded EHR as FHIR clients meet it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from tests.builders import imaging_study

TOKEN = {"Authorization": "Bearer ehr-token"}
NIGHT = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)
PATIENT = {"resourceType": "Patient", "id": "p1", "identifier": [{"system": "urn:mrn", "value": "1|2"}]}


class Clock:
    def __init__(self) -> None:
        self.now = NIGHT

    def __call__(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now


@pytest.fixture
def store() -> ResourceStore:
    return ResourceStore(Clock())


@pytest.fixture
def client(store: ResourceStore) -> FlaskClient:
    return fhir_app(store, ["ehr-token"]).test_client()


def found(client: FlaskClient, query: str) -> list[str]:
    answer = client.get(query, headers=TOKEN)
    assert answer.status_code == 200
    return [entry["resource"]["id"] for entry in answer.json.get("entry", [])] if answer.json else []


def problem(answer: TestResponse) -> str:
    assert answer.content_type.startswith("application/fhir+json")
    return str(OperationOutcome.model_validate(answer.json).issue[0].code)


def test_the_capability_statement_is_valid_and_open_to_all(client: FlaskClient) -> None:
    answer = client.get("/metadata")
    assert answer.content_type.startswith("application/fhir+json")
    assert CapabilityStatement.model_validate(answer.json).fhirVersion == "4.0.1"


@pytest.mark.parametrize(
    "header", [None, "Bearer other", "Basic ehr-token", "Bearer", "Bearer ehr-token x", "Bearer ü"]
)
@pytest.mark.parametrize("path", ["/Patient/p1", "/Patient", "/nothing"])
def test_without_its_token_nothing_is_told(client: FlaskClient, store: ResourceStore, header: str, path: str) -> None:
    store.put(PATIENT)
    answer = client.get(path, headers={"Authorization": header} if header else {})
    assert (answer.status_code, problem(answer)) == (401, "login")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_what_is_created_can_be_read_at_its_location(client: FlaskClient, store: ResourceStore) -> None:
    store.put(PATIENT)
    order = {"resourceType": "ServiceRequest", "status": "draft", "subject": {"reference": "Patient/p1"}}
    created = client.post("/ServiceRequest", json=order, headers=TOKEN)
    assert created.status_code == 201
    location = created.headers["Location"].removesuffix("/_history/1")
    read = client.get(location, headers=TOKEN)
    assert read.json == created.json
    assert read.headers["ETag"] == 'W/"1"'


@pytest.mark.parametrize(
    ("resource_type", "about"),
    [
        ("ServiceRequest", {}),
        ("ServiceRequest", {"subject": {"reference": "Patient/p2"}}),
        ("ServiceRequest", {"subject": {"reference": "Group/p1"}}),
        ("RiskAssessment", {"subject": {"display": "Ada"}}),
        ("AllergyIntolerance", {"patient": {"reference": "Patient/p2"}}),
    ],
)
def test_what_is_about_no_patient_on_record_is_not_created(
    client: FlaskClient, store: ResourceStore, resource_type: str, about: dict[str, Any]
) -> None:
    store.put(PATIENT)
    answer = client.post(f"/{resource_type}", json={"resourceType": resource_type, **about}, headers=TOKEN)
    assert (answer.status_code, problem(answer)) == (422, "processing")
    assert store.all(resource_type) == []


def test_an_update_raises_the_version_and_keeps_one_resource(client: FlaskClient) -> None:
    statuses = [client.put("/Patient/p1", json=PATIENT, headers=TOKEN).status_code for _ in range(2)]
    assert statuses == [201, 200]
    assert client.get("/Patient/p1", headers=TOKEN).headers["ETag"] == 'W/"2"'
    assert found(client, "/Patient") == ["p1"]


def test_an_update_of_another_version_than_the_one_held_is_refused(client: FlaskClient) -> None:
    client.put("/Patient/p1", json=PATIENT, headers=TOKEN)
    for version, status in (('W/"2"', 412), ('W/"1"', 200), ('W/"1"', 412)):
        answer = client.put("/Patient/p1", json=PATIENT, headers={**TOKEN, "If-Match": version})
        assert answer.status_code == status
    assert problem(answer) == "conflict"
    assert client.get("/Patient/p1", headers=TOKEN).headers["ETag"] == 'W/"2"'


def test_an_update_of_what_is_not_there_creates_nothing_where_a_version_was_expected(client: FlaskClient) -> None:
    assert client.put("/Patient/p1", json=PATIENT, headers={**TOKEN, "If-Match": 'W/"1"'}).status_code == 412
    assert found(client, "/Patient") == []


def test_a_conditional_create_finds_what_it_created_and_refuses_to_choose(client: FlaskClient) -> None:
    once = {**TOKEN, "If-None-Exist": "identifier=urn%3Amrn%7C7"}
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "7"}]}
    answers = [client.post("/Patient", json=patient, headers=once) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json == answers[1].json
    client.post("/Patient", json=patient, headers=TOKEN)
    assert client.post("/Patient", json=patient, headers=once).status_code == 412
    assert len(found(client, "/Patient")) == 2


@pytest.mark.parametrize("condition", ["", "colour=red", "identifier=1&colour=red"])
def test_a_condition_that_is_not_understood_creates_nothing(client: FlaskClient, condition: str) -> None:
    answer = client.post("/Patient", json=PATIENT, headers={**TOKEN, "If-None-Exist": condition})
    assert (answer.status_code, found(client, "/Patient")) == (400, [])


def test_conditional_creates_from_many_threads_leave_one_resource(store: ResourceStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        new = list(threads.map(lambda _: store.create_unless(PATIENT, list)[1], range(40)))
    assert (new.count(True), len(store.all("Patient"))) == (1, 1)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/Patient/none", None, 404, "not-found"),
        ("GET", "/Spaceship", None, 404, "not-found"),
        ("GET", "/Patient?_count=many", None, 400, "invalid"),
        ("POST", "/Patient", b"{", 400, "invalid"),
        ("POST", "/Patient", b"[" * 100_000, 400, "invalid"),
        ("POST", "/Patient", b"[]", 400, "invalid"),
        ("POST", "/Patient", b'{"resourceType": "Condition"}', 400, "invalid"),
        ("PUT", "/Patient/p1", b'{"resourceType": "Patient", "id": "p2"}', 400, "invalid"),
        ("DELETE", "/Patient/p1", None, 405, "not-supported"),
    ],
)
def test_every_error_is_an_operation_outcome(
    client: FlaskClient, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    answer = client.open(path, method=method, data=body, headers=TOKEN, content_type="application/fhir+json")
    assert (answer.status_code, problem(answer)) == (status, code)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("patient=p1", ["a", "b", "c"]),
        ("patient=Patient/p1&_sort=-started", ["c", "b", "a"]),
        ("patient=p1&_sort=started&_count=2", ["a", "b"]),
        ("patient=p2", ["d"]),
        ("patient=p1,p2&_id=c,d", ["c", "d"]),
        ("patient=p3", []),
        ("modality=MG", ["a", "b", "c"]),
        ("modality=http://dicom.nema.org/resources/ontology/DCM|MR", ["d"]),
        ("modality=urn:other|MR", []),
        ("started=2024", ["b"]),
        ("started=ge2024", ["b", "c", "d"]),
        ("started=gt2024-06&started=le2025-01-05", ["c"]),
        ("started=lt2024-02-03", ["a"]),
        ("identifier=urn:dicom:uid|urn:oid:1.2.2024", ["b"]),
        ("identifier=urn:oid:1.2.2024", ["b"]),
        ("_lastUpdated=gt2026-01-06T01:30:00Z", ["c", "d"]),
        ("_lastUpdated=le2026-01-06T01:30:00.000%2B00:00", ["a", "b"]),
        ("_lastUpdated=2026-01-06", ["a", "b", "c", "d"]),
        ("started=whenever", []),
        ("colour=red&patient=p2", ["d"]),
    ],
)
def test_imaging_studies_are_found_by(client: FlaskClient, store: ResourceStore, query: str, ids: list[str]) -> None:
    for study_id, day in (("a", "2023-01-05"), ("b", "2024-02-03"), ("c", "2025-01-05T09:00:00+01:00")):
        store.put(imaging_study("p1", day, f"1.2.{day[:4]}", id=study_id))
    store.put(imaging_study("p2", "2025-06", "1.2.9", "MR", id="d"))
    assert found(client, f"/ImagingStudy?{query}") == ids


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        (
            "/Condition?patient=p1&code=http://hl7.org/fhir/sid/icd-10-cm|C50.9",
            {"code": {"coding": [{"code": "C50.9"}]}},
        ),
        ("/Procedure?date=ge2025-01-05", {"performedPeriod": {"start": "2025-01-01"}}),
        ("/ServiceRequest?authored=ge2025&status=active", {"authoredOn": "2025-03-04T10:00:00Z", "status": "active"}),
        ("/RiskAssessment?patient=p1&date=2025-03", {"occurrenceDateTime": "2025-03-04T10:00:00Z"}),
    ],
)
def test_other_resources_are_found_by_their_own_parameters(
    client: FlaskClient, store: ResourceStore, path: str, resource: dict[str, Any]
) -> None:
    resource_type = path[1:].partition("?")[0]
    for coding in resource.get("code", {}).get("coding", []):
        coding["system"] = "http://hl7.org/fhir/sid/icd-10-cm"
    store.put(
        {"resourceType": resource_type, "id": "r", "subject": {"reference": "http://x/fhir/Patient/p1"}, **resource}
    )
    store.put({"resourceType": resource_type, "id": "bare"})
    assert found(client, path) == ["r"]


def test_a_study_without_series_has_no_modality_to_be_found_by(client: FlaskClient, store: ResourceStore) -> None:
    store.put(imaging_study("p1", "2025-01-05", id="bare") | {"series": []})
    assert found(client, "/ImagingStudy?patient=p1") == ["bare"]
    assert found(client, "/ImagingStudy?patient=p1&modality=MG") == []


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
def test_pages_hold_every_result_once(client: FlaskClient, store: ResourceStore, count: int) -> None:
    for number in range(5):
        store.put(imaging_study("p1", f"202{number}-01-05", id=f"s{number}"))
    url, ids = f"/ImagingStudy?patient=p1&_sort=-started&_count={count}", []
    while url:
        page = client.get(url, headers=TOKEN).json or {}
        assert Bundle.model_validate(page).total == 5
        ids += [entry["resource"]["id"] for entry in page["entry"]]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    assert ids == ["s4", "s3", "s2", "s1", "s0"]


def test_an_empty_search_is_a_valid_bundle_without_entries(client: FlaskClient) -> None:
    answer = client.get("/Condition?patient=p1", headers=TOKEN).json
    assert Bundle.model_validate(answer).total == 0
    assert "entry" not in (answer or {})


def test_a_search_by_post_is_the_same_search(client: FlaskClient, store: ResourceStore) -> None:
    store.put(imaging_study("p1", "2025-01-05", id="a"))
    store.put(imaging_study("p2", "2025-01-05", id="b"))
    answer = client.post("/ImagingStudy/_search", data={"patient": "p2"}, headers=TOKEN)
    assert [entry["resource"]["id"] for entry in (answer.json or {})["entry"]] == ["b"]


def test_the_self_link_shows_which_parameters_were_understood(client: FlaskClient) -> None:
    answer = client.get("/ImagingStudy?patient=p1&colour=red&_count=3", headers=TOKEN).json
    assert (answer or {})["link"][0]["url"].endswith("/ImagingStudy?patient=p1&_count=3")


def test_what_a_reader_changes_stays_his_own(store: ResourceStore) -> None:
    given = imaging_study("p1", "2025-01-05", id="a")
    store.put(given)
    given["status"] = "changed outside"
    for copied in (store.read("ImagingStudy", "a"), store.all("ImagingStudy")[0]):
        assert copied is not None
        copied["status"] = "changed outside"
    assert store.all("ImagingStudy")[0]["status"] == "available"


def test_updates_from_many_threads_lose_no_version(store: ResourceStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: store.put(PATIENT), range(200)))
    assert (store.read("Patient", "p1") or {})["meta"]["versionId"] == "200"
