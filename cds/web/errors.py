"""Every failure as one HTTP status and an OperationOutcome; never a traceback, an identifier or a token."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from flask import Blueprint, Flask, Response, jsonify
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from cds.errors import MammoTrendError
from cds.store.database_faults import concerns_all
from hooks.contract import ContractError

log = logging.getLogger(__name__)


Answer = Callable[[HTTPStatus, str], Response]
"""The response with a status that says in words what went wrong."""


def operation_outcome(text: str) -> dict[str, object]:
    """FHIR's way to say what went wrong; CDS Hooks 3.0 asks for it and 2.0 allows it."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "processing", "diagnostics": text}],
    }


def _outcome(status: HTTPStatus, text: str) -> Response:
    response = jsonify(operation_outcome(text))
    response.status_code = status
    return response


def register(scope: Flask | Blueprint, answer: Answer = _outcome) -> None:
    """Translate our errors, the framework's and the database's, for an application or for a part of it alone."""
    scope.register_error_handler(MammoTrendError, lambda error: answer(error.http_status, str(error)))
    scope.register_error_handler(ContractError, lambda error: answer(HTTPStatus.BAD_REQUEST, str(error)))
    scope.register_error_handler(HTTPException, partial(_http_error, answer))
    scope.register_error_handler(SQLAlchemyError, partial(_store_error, answer))
    scope.register_error_handler(Exception, partial(_fault, answer))


def _http_error(answer: Answer, error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    response = answer(status, f"{status.phrase.lower()}: {status.description or 'see the request'}")
    # Which methods there are, and when to try again.
    response.headers.extend(pair for pair in error.get_headers() if pair[0] in ("Allow", "Retry-After"))
    return response


def _store_error(answer: Answer, error: SQLAlchemyError) -> Response:
    # The message would quote the statement with its values.
    log.error("the store failed: %s", type(error).__name__)
    if concerns_all(error):
        return answer(HTTPStatus.SERVICE_UNAVAILABLE, "the service's database does not answer; try again later")
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "the service's database does not take a value of this call")


def _fault(answer: Answer, error: Exception) -> Response:
    # The framework would log the traceback with the error's words, and they may quote what a call sent.
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("an unforeseen fault: %s at %s:%s", type(error).__name__, place.filename, place.lineno)
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "an unforeseen fault; the service's log names the place")
