"""Section 1 of the checklist: JSON in, JSON out, with nothing empty in it."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import json
from typing import Any

import pytest

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


def test_J2_J3_no_answer_has_anything_null_or_empty_in_it(service: Service, family: list[Answer]) -> None:
    announced = service.client().get("/cds-services").get_json()

    for body in (announced, *(answer.body for answer in family)):
        assert not [part for part in parts_of(body) if part is None or part in ("", [], {})]


def test_J4_what_a_card_holds_of_fhir_is_plain_json_of_that_resource(family: list[Answer]) -> None:
    resources = [part for answer in family for part in parts_of(answer.body) if _is_resource(part)]

    assert resources
    assert all(read_json(json.dumps(resource).encode()) == resource for resource in resources)


def _is_resource(part: object) -> bool:
    return isinstance(part, dict) and "resourceType" in part
