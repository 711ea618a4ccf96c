"""A family of calls that together are answered with every card the services can make, on every kind of site."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import product
from typing import Any

from sqlalchemy import delete

from cds.services import WebServices
from cds.store.audit import AuditTrail
from cds.store.cards import CardRecords
from cds.store.database import open_database
from cds.store.store import Store
from cds.store.tables import ShownCard
from cds.web.app import create_app
from fhir_mappings.codes import Coding
from hooks.contract import Source
from hooks.site import Mode
from model.domain import AcquisitionDevice
from tests.builders import imaging_study, operation_outcome, searchset
from tests.cds.builders import EHR, NOW, PATIENT, Json, claimed, fhir_patient, refused
from tests.cds.web.conftest import Service
from tests.conformance.calls import CALLS, ORDER_SELECT, address, whole

HOSTILE = "<img src=x onerror=alert(1)> |a|b| [x](https://evil.example) `c` **d** https://evil.example"

SITES: dict[str, dict[str, Any]] = {
    "research": {},
    "active": {"mode": Mode.ACTIVE},
    "all actions in one suggestion": {"one_action_each": False},
    "without RiskAssessments": {"assessment_offered": False},
    "a code that no order may carry": {"mri_order": Coding("urn:site", "MRBR ")},
    "a source with all it may have": {
        "source": Source(
            "Radiology",
            "https://hospital.example/mammotrend",
            "https://hospital.example/icon.png",
            Coding("urn:site", "breast-risk", "Breast cancer risk"),
        )
    },
}
"""What a site may have set otherwise, of all that changes a card."""


@dataclass(frozen=True)
class Answer:
    """One answer, and of which kinds the cards in it are by the service's own record."""

    name: str
    service_id: str
    kinds: tuple[str, ...]
    body: Json

    @property
    def cards(self) -> list[Json]:
        """The cards as they were sent."""
        cards: list[Json] = self.body["cards"]
        return cards


def answers() -> list[Answer]:
    """Every situation of a patient, asked by every hook at every kind of site."""
    return [answer for name in _SITUATIONS for answer in _of_situation(name)]


def on_site(parts: WebServices, **changes: Any) -> WebServices:
    """The same application, of a site that has set something otherwise."""
    (ehr,) = parts.ehrs
    return replace(parts, ehrs=(replace(ehr, site=replace(ehr.site, **changes)),))


def suggestions(card: Json) -> list[Json]:
    """What a card offers."""
    offered: list[Json] = card.get("suggestions", [])
    return offered


def actions(card: Json) -> list[Json]:
    """Everything that a card's suggestions do."""
    return [action for suggestion in suggestions(card) for action in suggestion["actions"]]


def parts_of(value: object) -> Iterator[object]:
    """A JSON value with everything in it."""
    yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts_of(part)


def _of_situation(name: str) -> Iterator[Answer]:
    engine = open_database("sqlite://")
    service = Service(Store(engine), CardRecords(engine), AuditTrail(engine), engine, budget_s=0.0)
    prefetched = _SITUATIONS[name](service)
    for service_id, site in product(CALLS, SITES):
        with engine.begin() as connection:
            connection.execute(delete(ShownCard))  # what was shown before may be withheld
        client = create_app(on_site(service.parts(), **SITES[site])).test_client()
        answer = client.post(address(service_id), json=whole(service_id, **prefetched))
        assert answer.status_code == 200, answer.text
        yield Answer(f"{name}, {site}, {service_id}", service_id, _kinds(service), answer.get_json())


def _kinds(service: Service) -> tuple[str, ...]:
    return tuple(card.kind for card in service.kept.earlier(EHR, PATIENT, lambda moment: moment.date()))


# Situations: each prepares the store and says what is to be in the prefetch.


def _rising(service: Service) -> Json:
    for year, risk in {2020: 0.021, 2022: 0.024, 2024: 0.034, 2025: 0.046, 2026: 0.066}.items():
        service.score(f"1.2.{year}", risk, day=date(year, 5, 3))
    days = [f"{year}-05-03" for year in (2026, 2025, 2024, 2022, 2020)]
    return {"mammograms": searchset(*(imaging_study(PATIENT, day, f"1.2.{day[:4]}", id=f"s{day}") for day in days))}


def _scored(service: Service, five_year: float = 0.066, **prefetched: Any) -> Json:
    service.score(five_year=five_year)
    return prefetched


def _unread_parts(service: Service) -> Json:
    service.score()
    return {key: operation_outcome() for key in ("conditions", "procedures", "orders", "allergies", "observations")}


def _hostile_words(service: Service) -> Json:
    device = AcquisitionDevice(HOSTILE, HOSTILE, HOSTILE)
    service.score(device=device, warnings=(HOSTILE,))
    return {}


def _refused(service: Service, **prefetched: Any) -> Json:
    service.cards(whole(ORDER_SELECT, **prefetched))
    service.store.save_refusal(claimed(service.store), refused(), NOW)
    return prefetched


def _refused_after_a_score(service: Service) -> Json:
    service.score("1.2.2", day=date(2025, 5, 3))
    earlier = imaging_study(PATIENT, "2025-05-03", "1.2.2", id="s2")
    newest = imaging_study(PATIENT, "2026-05-03", "1.2.1", id="s1")
    return _refused(service, mammograms=searchset(newest, earlier))


def _failing(service: Service) -> Json:
    service.cards(whole(ORDER_SELECT))
    service.store.save_failure(claimed(service.store), f"the archive answered {HOSTILE}.", NOW)
    return {}


_SITUATIONS: dict[str, Callable[[Service], Json]] = {
    "a score that rose over the threshold": _rising,
    "a single score over the threshold": _scored,
    "a score of all": lambda service: _scored(service, 1.0),
    "a score just over the threshold": lambda service: _scored(service, 0.0170001),
    "parts of the chart unread": _unread_parts,
    "hostile words on the images": _hostile_words,
    "over the threshold and too young": lambda service: _scored(service, patient=fhir_patient(birthDate="1995-02-01")),
    "over the threshold without a birth date": lambda service: _scored(service, patient=fhir_patient(birthDate=None)),
    "a score under the threshold": lambda service: _scored(service, 0.012),
    "a score of nothing": lambda service: _scored(service, 0.0),
    "an exam that cannot be scored": _refused,
    "one that cannot be scored after a score": _refused_after_a_score,
    "an exam in the queue": lambda _: {},
    "an exam that is held": _failing,
    "an exam that cannot be found": lambda _: {"mammograms": searchset(_without_uid())},
    "exams of another patient": lambda _: {"mammograms": searchset(imaging_study("p2", "2026-05-03"))},
}


def _without_uid() -> Json:
    return imaging_study(PATIENT, "2026-05-03", id="s1") | {"identifier": []}
