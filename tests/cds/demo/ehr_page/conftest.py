"""A small hospital behind the screen: a real FHIR server on loopback, a folder of images, a service that is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cds.demo.dicom_folder import DicomFolder
from cds.demo.ehr_page.decision_support import Consultation
from cds.demo.ehr_page.desk import Desk
from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.loopback import serve
from cds.ehr.client import FhirEhr
from tests.cds.builders import NOW, Clock, fhir_patient

Json = dict[str, Any]
TOKEN = "ehr-token"


@dataclass
class ToldAdviser:
    """A service that answers each hook as it is told, and remembers what it was asked and what was reported."""

    cards: dict[str, list[Json]] = field(default_factory=dict)
    problem: str | None = None
    feedback_problem: str | None = None
    asked: list[tuple[str, str, Json]] = field(default_factory=list)
    reported: list[tuple[str, Json]] = field(default_factory=list)

    def ask(self, hook: str, patient_id: str, context: Json, occasion: str) -> Consultation:
        self.asked.append((hook, patient_id, context))
        request = {"hookInstance": f"call-{len(self.asked)}", "hook": hook}
        answer = {} if self.problem else {"cards": self.cards.get(hook, [])}
        return Consultation(f"service-{hook}", hook, occasion, NOW, 7, request, answer, self.problem)

    def report(self, service_id: str, feedback: Json) -> str | None:
        self.reported.append((service_id, feedback))
        return self.feedback_problem


@pytest.fixture
def charts() -> ResourceStore:
    """The EHR's resources: one patient."""
    store = ResourceStore(Clock())
    store.put(fhir_patient())
    return store


@pytest.fixture
def ehr(charts: ResourceStore) -> Iterator[FhirEhr]:
    """The EHR's own access to them."""
    with serve(fhir_app(charts, [TOKEN])) as address, FhirEhr(address, TOKEN) as ehr:
        yield ehr


@pytest.fixture
def adviser() -> ToldAdviser:
    """A service that has nothing to say unless told."""
    return ToldAdviser()


@pytest.fixture
def desk(ehr: FhirEhr, adviser: ToldAdviser) -> Desk:
    """The clinician's desk."""
    return Desk(ehr, adviser, Clock())


@pytest.fixture
def images(tmp_path: Path) -> DicomFolder:
    """The archive, empty."""
    return DicomFolder(tmp_path / "images")
