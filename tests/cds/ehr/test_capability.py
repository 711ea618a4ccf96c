"""What an EHR says of itself to anybody."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask, Response

from cds.demo.loopback import serve
from cds.ehr.capability import Capability, read_capability
from cds.ehr.exchange import Exchange, given_token
from cds.errors import EhrAnswerBroken

STATEMENT = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}


def told(statement: Any, **headers: str) -> Capability:
    """What is read of a server that says this of itself below /r4, without a token."""
    app = Flask("ehr")

    @app.get("/r4/metadata")
    def metadata() -> Response:
        return Response(json.dumps(statement), content_type="application/fhir+json", headers=headers)

    with serve(app) as url:
        return read_capability(f"{url}/r4/", Exchange(f"{url}/r4/", given_token(None), 5.0, None))


def test_its_version_and_its_clock_are_read() -> None:
    assert told(STATEMENT, Date="Wed, 20 May 2026 23:30:00 GMT") == Capability(
        "4.0.1", datetime(2026, 5, 20, 23, 30, tzinfo=UTC)
    )


def test_a_clock_that_cannot_be_read_is_not_known() -> None:
    assert told(STATEMENT, Date="half past eleven").clock is None


@pytest.mark.parametrize("version", ["3.0.2", "5.0.0", None, 4])
def test_another_version_than_r4_is_refused(version: object) -> None:
    with pytest.raises(EhrAnswerBroken, match="speaks FHIR"):
        told(STATEMENT | {"fhirVersion": version})


def test_something_else_than_a_capability_statement_is_refused() -> None:
    with pytest.raises(EhrAnswerBroken, match="no CapabilityStatement"):
        told({"resourceType": "Patient"})
