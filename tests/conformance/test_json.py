"""Section 1 of the checklist: JSON in, JSON out, with nothing empty in it."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeGuard

import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds.web.bodies import read_json
from tests.cds.web.calls import full
from tests.cds.web.conftest import URL, Service
from tests.conformance.calls import CALLS, address, whole
from tests.conformance.family import Answer, parts_of

NO_FEEDBACK: dict[str, Any] = {"feedback": []}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/cds-services", None),
        ("POST", URL, full()),
        ("POST", f"{URL}/feedback", NO_FEEDBACK),
        ("POST", URL, {}),
        ("POST", "/cds-services/no-such-service", full()),
        ("GET", URL, None),
    ],
)
def test_J1_every_answer_and_every_refusal_is_json(service: Service, method: str, path: str, body: Any) -> None:
    answer = service.client().open(path, method=method, json=body)

    assert answer.content_type == "application/json"
    assert isinstance(read_json(answer.data), dict)


@pytest.mark.parametrize("service_id", CALLS)
@pytest.mark.parametrize("sent", ["utf-8", "utf-8-sig"])
def test_J1_a_call_is_json_however_its_characters_are_written(service: Service, service_id: str, sent: str) -> None:
    service.score(five_year=0.012)
    written = json.dumps(whole(service_id) | {"vendor": "\u00fc\u6f22"}, ensure_ascii=False)

    answer = service.client().post(address(service_id), data=written.encode(sent), content_type="application/json")

    assert (answer.status_code, len(answer.get_json()["cards"])) == (200, 1)


NO_JSON: dict[str, Callable[[str], str]] = {
    "NaN": lambda written: written.replace('"vendor": 1', '"vendor": NaN'),
    "Infinity": lambda written: written.replace('"vendor": 1', '"vendor": -Infinity'),
    "a trailing comma": lambda written: f"{written[:-1]},}}",
    "a comment": lambda written: f"// a call\n{written}",
    "single quotes": lambda written: written.replace('"vendor"', "'vendor'"),
    "a name twice": lambda written: written.replace('"vendor": 1', '"vendor": 1, "vendor": 2'),
    "two values": lambda written: f"{written} {{}}",
}


@pytest.mark.parametrize("service_id", CALLS)
@pytest.mark.parametrize("flaw", NO_JSON)
def test_J1_a_call_that_is_no_json_is_a_bad_request(service: Service, service_id: str, flaw: str) -> None:
    written = json.dumps(whole(service_id) | {"vendor": 1})
    assert service.client().post(address(service_id), data=written, content_type="application/json").status_code == 200

    spoilt = NO_JSON[flaw](written)

    assert spoilt != written
    assert service.client().post(address(service_id), data=spoilt, content_type="application/json").status_code == 400


def test_J2_J3_no_answer_has_anything_null_or_empty_in_it(service: Service, family: list[Answer]) -> None:
    announced = service.client().get("/cds-services").get_json()

    for body in (announced, *(answer.body for answer in family)):
        assert not [part for part in parts_of(body) if part is None or part in ("", [], {})]


def test_J4_what_a_card_holds_of_fhir_is_plain_json_of_that_resource(family: list[Answer]) -> None:
    resources = [part for answer in family for part in parts_of(answer.body) if _is_resource(part)]

    assert {resource["resourceType"] for resource in resources} == {"ServiceRequest", "RiskAssessment", "Device"}
    for resource in resources:
        read = get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        assert read_json(read.model_dump_json().encode()) == resource


def _is_resource(part: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(part, dict) and "resourceType" in part
