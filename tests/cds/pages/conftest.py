"""A site with pages, and the link of a card that it has answered with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from cds.attribute_sheet import attribute_sheet
from cds.pages.links import CardLinks
from cds.services import Pages, WebServices
from cds.store.audit import AuditTrail
from cds.store.cards import CardRecords
from cds.store.store import Store
from cds.web.app import create_app
from model.card import read_card
from model.domain import ModelVersion
from tests.cds.builders import MODEL, PATIENT, claimed, new_exam, order_select, prefetch, refused, scored, scored_by
from tests.cds.model_card import model_folder
from tests.cds.web.conftest import FHIR_SERVER, URL, Service

SECRET = "a-key-that-signs-links-for-the-tests"
ADDRESS = "https://cds.example/mammotrend"
LIFETIME = timedelta(minutes=60)


@dataclass
class Site:
    """A service with pages at `address`, and what it was asked."""

    service: Service
    model_card: Any
    model_folder: Path
    studies_folder: Path | None = None
    address: str = ADDRESS
    secret: str = SECRET
    fhir_server: str = FHIR_SERVER
    frame_ancestors: tuple[str, ...] = ()
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def links(self) -> CardLinks:
        """Its links."""
        return CardLinks(self.address, self.secret, LIFETIME, self.service.clock)

    @property
    def pages(self) -> Pages:
        """What its pages need."""
        attributes = partial(attribute_sheet, self.model_folder, self.model_card, self.studies_folder)
        return Pages(self.links, self.model_card, attributes, self.frame_ancestors)

    def parts(self) -> WebServices:
        """What the application is made of."""
        return replace(self.service.parts(), pages=self.pages, public_url=self.address, **self.changes)

    def app(self) -> Flask:
        """The application as it is set now."""
        return create_app(self.parts())

    def client(self) -> FlaskClient:
        """A client of it."""
        return self.app().test_client()

    def score(self, study_uid: str, five_year: float, day: date, patient_id: str = PATIENT, **changes: Any) -> None:
        """Have an exam scored already."""
        now = self.service.clock()
        self.service.store.register([new_exam(study_uid, patient_id, performed_on=day)], MODEL.key, now)
        self.service.store.save_score(claimed(self.service.store, now), scored(study_uid, five_year, day, **changes))

    def score_by(self, model: ModelVersion, study_uid: str, five_year: float, day: date, **changes: Any) -> None:
        """Have an exam scored already by another model version."""
        now, store = self.service.clock(), self.service.store
        store.register([new_exam(study_uid, performed_on=day)], model.key, now)
        store.save_score(claimed(store, now, model), scored_by(model, study_uid, five_year, day, **changes))

    def refuse(self, study_uid: str) -> None:
        """Have an exam refused already."""
        now = self.service.clock()
        self.service.store.register([new_exam(study_uid)], MODEL.key, now)
        self.service.store.save_refusal(claimed(self.service.store, now), refused(study_uid), now)

    def card(self, *study_uids: str, **values: Any) -> dict[str, Any]:
        """The card of a call about these exams."""
        body = order_select(prefetch=prefetch(*study_uids, **values), fhirServer=self.fhir_server)
        answer = self.client().post(URL, json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json is not None
        (card,) = answer.json["cards"]
        return dict(card)

    def link(self, *study_uids: str, **values: Any) -> str:
        """The path that the link of such a card leads to."""
        (link,) = self.card(*study_uids, **values)["links"]
        return str(link["url"]).removeprefix(self.address)


@pytest.fixture
def site(engine: Engine, tmp_path: Any) -> Site:
    """A site in research mode with pages, over an empty store."""
    service = Service(Store(engine), CardRecords(engine), AuditTrail(engine), engine)
    folder = model_folder(tmp_path / "model")
    return Site(service, read_card(folder), folder)
