"""What an EHR's FHIR server says of itself to anybody: which FHIR it speaks, and what time it has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cds.ehr.exchange import Exchange, http_date, parsed_resource
from cds.errors import EhrAnswerBroken

READ_VERSIONS = ("4.0", "4.3")
"""R4, and R4B, whose ImagingStudy, Patient and RiskAssessment are those of R4."""


@dataclass(frozen=True)
class Capability:
    """The version of FHIR, such as 4.0.1, and the server's clock to the second; None where it does not tell it."""

    fhir_version: str
    clock: datetime | None


def read_capability(base_url: str, exchange: Exchange) -> Capability:
    """Ask for the CapabilityStatement (FHIR R4, capabilities); raises EhrError where it is none, or not of R4."""
    answer = exchange.get(f"{base_url.rstrip('/')}/metadata")
    statement = parsed_resource(answer, exchange.origin)
    if statement["resourceType"] != "CapabilityStatement":
        raise EhrAnswerBroken(f"the EHR at {exchange.origin} has no CapabilityStatement; check its FHIR base address")
    version = str(statement.get("fhirVersion"))
    if not version.startswith(READ_VERSIONS):
        raise EhrAnswerBroken(f"the EHR at {exchange.origin} speaks FHIR {version[:10]!r} there, and this program R4")
    return Capability(version, http_date(answer.headers.get("Date", "")))
