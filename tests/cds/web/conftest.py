"""The web application over a store in a file, with EHRs that a test can watch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from cds.assessment import Assessor
from cds.operations.figures import Operations
from cds.operations.readiness import Lookout
from cds.services import CallingEhr, WebServices
from cds.store.audit import AuditTrail
from cds.store.cards import CardRecords
from cds.store.runs import RunRecords
from cds.store.store import Store
from cds.web.app import create_app
from fhir_mappings.codes import DEFAULT_MRI_ORDER, Coding
from hooks import SERVICES
from hooks.site import Mode, Site
from tests.cds.builders import EHR, MODEL, Clock, claimed, join, new_exam, scored
from tests.cds.model_card import BANNER
from tests.fakes import FakeEhr

URL = "/cds-services/breast-risk-order-select"
FHIR_SERVER = "https://ehr.example/r4"
TOKEN = "secret-token"


class OpenedEhr(FakeEhr):
    """A FakeEhr that is opened for a call, and remembers the token and that it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str | None] = []
        self.is_open = False

    def open(self, token: str | None) -> OpenedEhr:
        """What `CallingEhr.open` is."""
        self.tokens.append(token)
        return self

    def __enter__(self) -> OpenedEhr:
        self.is_open = True
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open = False


@dataclass
class Service:
    """The application with its parts in reach."""

    store: Store
    kept: CardRecords
    trail: AuditTrail
    engine: Engine
    clock: Clock = field(default_factory=Clock)
    ehr: OpenedEhr = field(default_factory=OpenedEhr)
    mode: Mode = Mode.RESEARCH
    budget_s: float = 0.2
    sleeps: list[float] = field(default_factory=list)
    others: tuple[CallingEhr, ...] = ()
    mri_order: Coding = DEFAULT_MRI_ORDER
    time_zone: str = "UTC"

    def client(self) -> FlaskClient:
        """A client of the application as it is set now."""
        return create_app(self.parts()).test_client()

    def parts(self) -> WebServices:
        """What the application is made of."""
        calling = CallingEhr(EHR, FHIR_SERVER, self._site(), ZoneInfo(self.time_zone), self.ehr.open)
        assessor = Assessor(self.store, MODEL, join, self.clock, self._sleep, self.clock.monotonic_s)
        return WebServices(
            SERVICES,
            (calling, *self.others),
            assessor,
            self.kept,
            self.trail,
            self.budget_s,
            operations=Operations(self.engine, MODEL.key, self.clock),
            lookout=Lookout(RunRecords(self.engine), MODEL.key, self.clock),
            now=self.clock,
            monotonic_s=self.clock.monotonic_s,
        )

    def call(self, body: Any, **options: Any) -> TestResponse:
        """POST one hook call."""
        return self.client().post(URL, json=body, **options)

    def cards(self, body: Any) -> list[dict[str, Any]]:
        """The cards of a call that is answered."""
        answer = self.call(body)
        assert answer.status_code == 200, answer.text
        assert answer.json is not None
        cards: list[dict[str, Any]] = answer.json["cards"]
        return cards

    def score(self, study_uid: str = "1.2.1", five_year: float = 0.066, **changes: Any) -> None:
        """Have an exam scored already."""
        self.store.register([new_exam(study_uid)], MODEL.key, self.clock())
        self.store.save_score(claimed(self.store, self.clock()), scored(study_uid, five_year, **changes))

    def with_other_ehr(self, name: str, fhir_server: str) -> OpenedEhr:
        """A second EHR of the site."""
        other = OpenedEhr()
        calling = CallingEhr(name, fhir_server, self._site(), ZoneInfo("UTC"), other.open)
        self.others = (*self.others, calling)
        return other

    def _site(self) -> Site:
        return replace(Site(), mode=self.mode, demo_banner=BANNER, mri_order=self.mri_order)

    def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.clock.sleep(seconds)


@pytest.fixture
def service(engine: Engine) -> Service:
    """The application in research mode over an empty store."""
    return Service(Store(engine), CardRecords(engine), AuditTrail(engine), engine)
