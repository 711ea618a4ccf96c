"""docs/openapi.yaml and the application: every route is described, and every answer is as described."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Response
from hypothesis import HealthCheck, given, settings
from schemathesis import BaseSchema, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import Engine, delete
from werkzeug.test import TestResponse

from cds.store.tables import Lease
from cds.web.app import Front
from cds.web.limits import FrontLimits
from hooks import SERVICES
from tests.hostile.asking import NO_HURRY, app_of_two_women
from tests.hostile.women import ADA, feedback, hook_call

FILE = Path(__file__).parents[2] / "docs" / "openapi.yaml"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EACH = 60
"""Generated calls for each operation, of those that fit its description and of those that do not."""


def described() -> BaseSchema:
    """The description, which is read anew because a schema keeps what it is used with."""
    return schemathesis.openapi.from_path(FILE)


OPERATIONS = [found.ok() for found in described().get_all_operations() if isinstance(found, Ok)]
LABELS = {operation.label: operation for operation in OPERATIONS}


def test_the_description_is_valid_openapi() -> None:
    described().validate()


def test_every_route_is_described_and_every_described_one_is_there(engine: Engine) -> None:
    routes = app_of_two_women(engine).url_map
    adapter = routes.bind("")
    ids = [service.id for service in SERVICES]

    told = {
        (adapter.match(operation.path.format(service=each), operation.method.upper())[0], operation.method.upper())
        for operation in OPERATIONS
        for each in ids
    }

    made = {(rule.endpoint, method) for rule in routes.iter_rules() for method in rule.methods or ()}
    assert told == {(endpoint, method) for endpoint, method in made if method not in ("HEAD", "OPTIONS")}
    assert {operation.path for operation in OPERATIONS} >= {f"/cds-services/{each}" for each in ids}


# Every status that is described


def _answer(label: str, status: int, engine: Engine) -> TestResponse:
    """The answer of an operation to what is described to be answered with this status."""
    fronts = {
        413: Front(limits=FrontLimits(largest_request_bytes=10)),
        429: Front(limits=FrontLimits(calls_per_minute=1)),
        503: Front(limits=FrontLimits(calls_at_work=0)),
    }
    client = app_of_two_women(engine, guarded=status == 401, front=fronts.get(status, NO_HURRY)).test_client()
    if (label, status) == ("GET /readyz", 503):
        with engine.begin() as connection:
            connection.execute(delete(Lease))
    operation = LABELS[label]
    path = operation.path.format(service="no-such-service" if status == 404 else SERVICES[0].id)
    sent: dict[str, Any] = {"json": _body(label, status)}
    if status == 415:
        sent = {"data": b"{}", "content_type": "text/plain"}
    for _ in range(1 + (status == 429)):
        answer = client.open(path, method=operation.method, **sent)
    return answer


def _body(label: str, status: int) -> Any:
    calls = {f"POST /cds-services/{service.id}": hook_call(service, ADA) for service in SERVICES}
    body = calls.get(label, feedback("no such card"))
    changes: dict[int, Any] = {
        400: {"hook": 7, "feedback": 7},
        403: {"fhirServer": "https://another.example"},
        412: {"prefetch": None},
    }
    return body | changes.get(status, {})


@pytest.mark.parametrize(
    ("label", "status"),
    [(label, int(code)) for label, operation in LABELS.items() for code in operation.responses.status_codes],
)
def test_every_described_answer_is_given_as_it_is_described(label: str, status: int, engine: Engine) -> None:
    answer = _answer(label, status, engine)

    assert answer.status_code == status
    _case(label).validate_response(answer, checks=CHECKS[1:])


def _case(label: str) -> Case[Any]:
    return LABELS[label].Case(path_parameters={"service": SERVICES[0].id})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda response: response.headers.pop("Cache-Control"),
        lambda response: response.set_data(b'{"services": [{"id": "x"}]}'),
        lambda response: response.set_data(b'{"services": [], "more": 1}'),
        lambda response: setattr(response, "content_type", "text/html"),
        lambda response: setattr(response, "status_code", 418),
    ],
)
def test_an_answer_that_is_not_as_described_is_found(spoil: Callable[[Response], object], engine: Engine) -> None:
    app = app_of_two_women(engine)

    @app.after_request
    def spoilt(response: Response) -> Response:
        spoil(response)
        return response

    answer = app.test_client().get("/cds-services")

    with pytest.raises((FailureGroup, Failure)):
        _case("GET /cds-services").validate_response(answer, checks=CHECKS[1:])


# Whatever is sent


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "mode"),
    [
        (label, mode)
        for label, operation in LABELS.items()
        for mode in GenerationMode
        if mode.is_positive or operation.body  # a request without one has nothing in it that could be wrong
    ],
)
def test_whatever_is_sent_is_answered_as_it_is_described(label: str, mode: GenerationMode, engine: Engine) -> None:
    schema = described()
    schema.app = app_of_two_women(engine)
    operation = schema.find_operation_by_label(label)
    assert operation is not None

    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EACH, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def call(case: Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS)

    call()
