"""Whole hook calls, and what their refusals say."""

from __future__ import annotations

from typing import Any

from tests.cds.builders import (
    IDENTIFIER,
    Json,
    order_select,
    prefetch,
)
from tests.cds.web.conftest import FHIR_SERVER, TOKEN

SECRETS = (TOKEN, IDENTIFIER, "Practitioner/dr1")
LEAVE = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.rs", "subject": "cds"}


def full(*study_uids: str, **values: Any) -> Json:
    """A call with everything in its prefetch, and the leave to fetch more."""
    wanted = prefetch(*(study_uids or ("1.2.1",)), **values)
    return order_select(prefetch=wanted, fhirServer=FHIR_SERVER, fhirAuthorization=LEAVE)


def diagnostics(answer: Any, status: int) -> str:
    """The words of the OperationOutcome of a failed call."""
    assert answer.status_code == status, answer.text
    assert answer.json["resourceType"] == "OperationOutcome"
    assert not [secret for secret in SECRETS if secret in answer.text]
    text: str = answer.json["issue"][0]["diagnostics"]
    return text
