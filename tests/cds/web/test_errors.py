"""Every failure is one HTTP status and an OperationOutcome that gives nothing away."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError, SQLAlchemyError

from cds.errors import EhrAnswerBroken, EhrUnreachable, MammoTrendError, ModelNotUsable
from cds.store.store import Store
from tests.cds.builders import IDENTIFIER, PATIENT, order_select, prefetch
from tests.cds.web.conftest import Service

BODY = order_select(prefetch=prefetch("1.2.1"))


class FailingStore(Store):
    """A store of which every question ends in the same error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def look_up(self, *_: Any, **__: Any) -> NoReturn:
        """Fails."""
        raise self.error


def test_a_database_that_fails_is_a_service_that_is_unavailable(
    service: Service, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE scoring"))

    answer = service.call(BODY)

    assert answer.status_code == 503
    assert answer.json == {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "processing",
                "diagnostics": "the service's database does not answer; try again later",
            }
        ],
    }
    assert [record.getMessage() for record in caplog.records] == ["the store failed: OperationalError"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EhrUnreachable("said"), 504),
        (EhrAnswerBroken("said"), 502),
        (ModelNotUsable("said"), 503),
        (MammoTrendError("said"), 500),
    ],
)
def test_an_error_of_ours_has_its_own_status_and_words(service: Service, error: Exception, status: int) -> None:
    service.store = FailingStore(error)

    answer = service.call(BODY)

    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json["issue"][0]["diagnostics"] == "said"


@pytest.mark.parametrize("error", [ValueError(f"{PATIENT} {IDENTIFIER}"), KeyError(IDENTIFIER)])
def test_an_unforeseen_fault_gives_nothing_away_but_its_place_in_the_log(
    service: Service, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.store = FailingStore(error)

    answer = service.call(BODY)

    assert answer.status_code == 500
    assert answer.json is not None
    assert answer.json["resourceType"] == "OperationOutcome"
    assert IDENTIFIER not in answer.text + caplog.text
    assert f"{type(error).__name__} at " in caplog.text
    assert "test_errors.py" in caplog.text


def test_the_words_of_a_database_error_are_not_shown(service: Service) -> None:
    service.store = FailingStore(SQLAlchemyError(f"... VALUES ({IDENTIFIER})"))

    answer = service.call(BODY)

    assert (answer.status_code, IDENTIFIER in answer.text) == (503, False)


def test_a_value_that_the_database_does_not_take_is_not_told_as_a_database_that_does_not_answer(
    service: Service,
) -> None:
    service.store = FailingStore(DataError(f"... VALUES ({IDENTIFIER})", {}, ValueError("too long")))

    answer = service.call(BODY)

    assert (answer.status_code, IDENTIFIER in answer.text) == (500, False)
    assert "does not take a value of this call" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/cds-services/breast-risk-order-select", 405),
        ("POST", "/cds-services", 405),
        ("GET", "/static/x.js", 404),
        ("GET", "//healthz", 404),
        ("POST", "/cds-services//feedback", 404),
    ],
)
def test_what_the_framework_refuses_is_an_operation_outcome_too(
    service: Service, method: str, path: str, status: int
) -> None:
    answer = service.client().open(path, method=method)

    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json["resourceType"] == "OperationOutcome"


def test_who_asks_in_the_wrong_way_is_told_which_ways_there_are(service: Service) -> None:
    answer = service.client().get("/cds-services/breast-risk-order-select")

    assert sorted(answer.headers["Allow"].split(", ")) == ["OPTIONS", "POST"]


def test_a_request_of_unreasonable_size_is_refused_unread(service: Service) -> None:
    answer = service.client().post("/cds-services/breast-risk-order-select", data=b"x" * (17 * 1024 * 1024))

    assert answer.status_code == 413
