"""What a write left, however the server chooses to answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask, Response

from cds.demo.loopback import serve
from cds.ehr.client import FhirEhr
from cds.ehr.stored import version_of
from cds.errors import EhrAnswerBroken
from tests.builders import operation_outcome

NEW = {"resourceType": "RiskAssessment", "status": "final"}
STORED = {**NEW, "id": "r1", "meta": {"versionId": "7"}}


def answered(body: object, headers: dict[str, str], *, resource_id: str | None = None) -> dict[str, Any]:
    """What a create, or an update of `resource_id`, says is stored after this answer."""
    app = Flask("answering")
    content = json.dumps(body) if body is not None else ""
    app.add_url_rule("/<path:path>", view_func=lambda path: Response(content, 200, headers), methods=["POST", "PUT"])
    with serve(app) as url, FhirEhr(url, None) as ehr:
        return ehr.create(NEW) if resource_id is None else ehr.update({**NEW, "id": resource_id})


@pytest.mark.parametrize("location", ["RiskAssessment/r1", "https://ehr.example/fhir/RiskAssessment/r1/_history/7"])
@pytest.mark.parametrize("body", [None, operation_outcome("information", "informational")])
def test_without_the_resource_the_headers_tell_its_id_and_version(body: object, location: str) -> None:
    stored = answered(body, {"Location": location, "ETag": 'W/"7"'})
    assert stored == {"resourceType": "RiskAssessment", "id": "r1", "meta": {"versionId": "7"}}


def test_the_resource_itself_goes_before_the_headers() -> None:
    assert answered(STORED, {"Location": "RiskAssessment/other", "ETag": 'W/"1"'}) == STORED


def test_an_update_that_is_answered_by_nothing_left_what_it_sent_the_id_of() -> None:
    assert answered(None, {}, resource_id="r1") == {"resourceType": "RiskAssessment", "id": "r1"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (None, {}),
        (None, {"Location": "https://ehr.example/fhir/"}),
        (None, {"Location": "Patient/p1"}),
        (operation_outcome(), {}),
        ({**STORED, "id": None}, {"Location": "RiskAssessment/r1"}),
        ({**STORED, "id": "../r1"}, {"Location": "RiskAssessment/r1"}),
        ({"resourceType": "Patient", "id": "r1"}, {"Location": "RiskAssessment/r1"}),
    ],
)
def test_a_create_that_does_not_tell_its_id_is_an_error_that_says_so(body: object, headers: dict[str, str]) -> None:
    with pytest.raises(EhrAnswerBroken, match="look at the chart"):
        answered(body, headers)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (None, {"Location": "RiskAssessment/r2"}),
        ({**STORED, "id": "r2"}, {"Location": "RiskAssessment/r1"}),
        ({**STORED, "id": "r2"}, {}),
    ],
)
def test_an_update_that_left_another_resource_is_an_error(body: object, headers: dict[str, str]) -> None:
    with pytest.raises(EhrAnswerBroken, match="look at the chart"):
        answered(body, headers, resource_id="r1")


@pytest.mark.parametrize(
    ("meta", "version"),
    [
        ({"versionId": "7"}, "7"),
        ({"versionId": 7}, None),
        ({"versionId": '7"\r\nX: y'}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_version_is_one_that_a_header_can_carry(meta: object, version: str | None) -> None:
    assert version_of({**STORED, "meta": meta}) == version
