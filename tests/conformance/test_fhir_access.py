"""Section 5 of the checklist: the EHR's FHIR server, and the access token of the call."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, request

from cds.demo.loopback import serve
from cds.ehr.client import FhirEhr
from cds.errors import EhrUnreachable
from cds.web.app import create_app
from tests.cds.builders import PATIENT, Json, fhir_patient, prefetch
from tests.cds.web.calls import LEAVE, diagnostics
from tests.cds.web.conftest import FHIR_SERVER, TOKEN, Service
from tests.conformance.calls import CALLS, address, whole

every_service = pytest.mark.parametrize("service_id", CALLS)


def call(service: Service, service_id: str, *left_out: str, **members: Any) -> Any:
    body = whole(service_id) | members
    for key in left_out:
        del body["prefetch"][key]
    return service.client().post(address(service_id), json=body)


@every_service
def test_F1_what_is_read_is_read_with_the_token_of_this_call(service: Service, service_id: str) -> None:
    service.score()
    service.ehr.answers[f"Patient/{PATIENT}"] = fhir_patient()
    for token in ("first", "second"):
        answer = call(service, service_id, "patient", fhirAuthorization=LEAVE | {"access_token": token})
        assert answer.status_code == 200

    assert service.ehr.tokens == ["first", "second"]
    assert service.ehr.asked == [f"Patient/{PATIENT}"] * 2


@every_service
@pytest.mark.parametrize("is_down", [False, True])
def test_F2_the_token_is_neither_stored_nor_logged_nor_answered(
    service: Service, service_id: str, is_down: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.ehr.answers[f"Patient/{PATIENT}"] = EhrUnreachable("no answer") if is_down else fhir_patient()

    answer = call(service, service_id, "patient")

    assert answer.status_code == (412 if is_down else 200)
    assert_token_is_nowhere(answer, tmp_path, caplog)


def patient_server(status: int, resource: Json) -> Flask:
    """A FHIR server that gives this one answer, and remembers the Authorization headers that it was sent."""
    app = Flask("patient server")
    app.config["sent"] = []

    @app.get("/<path:path>")
    def answer(path: str) -> Response:
        app.config["sent"].append(request.headers.get("Authorization"))
        return Response(json.dumps(resource), status, content_type="application/fhir+json")

    return app


@every_service
@pytest.mark.parametrize(("status", "answered"), [(200, 200), (401, 412), (503, 412)])
def test_F2_a_real_fhir_server_gets_the_token_and_no_log_does(
    service: Service, service_id: str, status: int, answered: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = whole(service_id)
    del body["prefetch"]["patient"]
    hospital, parts = patient_server(status, fhir_patient()), service.parts()
    with serve(hospital) as url:
        (ehr,) = parts.ehrs
        reached = replace(ehr, open=lambda token: FhirEhr(url, token, wait=lambda seconds: None))
        answer = create_app(replace(parts, ehrs=(reached,))).test_client().post(address(service_id), json=body)

    assert answer.status_code == answered, answer.text
    assert set(hospital.config["sent"]) == {f"Bearer {TOKEN}"}
    assert caplog.records
    assert_token_is_nowhere(answer, tmp_path, caplog)


def assert_token_is_nowhere(answer: Any, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    logged = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert b"audit" in kept
    assert TOKEN.encode() not in kept + answer.data + logged.encode()


@every_service
@pytest.mark.parametrize(
    "leave",
    [
        {"access_token": TOKEN},
        LEAVE | {"patient": PATIENT},
        LEAVE | {"patient": f"Patient/{PATIENT}", "expires_in": "300", "extension": {}},
    ],
)
def test_F3_a_token_is_taken_however_little_is_said_of_it(
    service: Service, service_id: str, leave: dict[str, Any]
) -> None:
    assert call(service, service_id, fhirAuthorization=leave).status_code == 200


@every_service
@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"patient": "p2"}, "another patient"),
        ({"access_token": None}, "access_token"),
        ({"token_type": "mac"}, "Bearer"),
    ],
)
def test_F3_a_token_that_is_for_another_patient_or_none_is_a_bad_request(
    service: Service, service_id: str, broken: dict[str, Any], said: str
) -> None:
    assert said in diagnostics(call(service, service_id, fhirAuthorization=LEAVE | broken), 400)
    assert service.ehr.tokens == []


@every_service
@pytest.mark.parametrize("server", ["http://ehr.example/r4", "http://ehr.example:443/r4"])
def test_F4_the_http_address_of_an_https_server_gets_neither_token_nor_answer(
    service: Service, service_id: str, server: str
) -> None:
    assert FHIR_SERVER == "https://ehr.example/r4"
    diagnostics(call(service, service_id, fhirServer=server), 403)

    assert service.ehr.tokens == []


@every_service
@pytest.mark.parametrize("server", ["https://evil.example/r4", "https://127.0.0.1/r4", f"{FHIR_SERVER}.evil.example"])
def test_F5_a_server_that_the_site_has_not_listed_is_never_called(
    service: Service, service_id: str, server: str
) -> None:
    diagnostics(call(service, service_id, fhirServer=server), 403)

    assert service.ehr.tokens == []


@every_service
@pytest.mark.parametrize(
    "scope", ["patient/*.read", "patient/Patient.rs patient/ImagingStudy.rs", "Patient.Read (R4) Observation", "", None]
)
def test_F6_scopes_of_smart_v1_v2_and_free_text_are_accepted(service: Service, service_id: str, scope: object) -> None:
    service.score()
    service.ehr.answers = {f"Patient/{PATIENT}": prefetch()["patient"]}

    answer = call(service, service_id, "patient", fhirAuthorization=LEAVE | {"scope": scope})

    assert len(answer.get_json()["cards"]) == 1
