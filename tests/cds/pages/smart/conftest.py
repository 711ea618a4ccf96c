"""A site whose EHR opens pages by itself, and a browser that goes through a launch step by step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds.demo.loopback import serve, take_place
from cds.ehr.client import FhirEhr
from cds.pages.smart.client import SmartClient
from tests.cds.builders import PATIENT, fhir_patient
from tests.cds.conftest import engine
from tests.cds.pages.conftest import Site, site
from tests.smart_server import Client, SmartServer

__all__ = ["engine", "site"]

CLIENT_ID = "mammotrend-page"
HOME = "https://cds.example"
ADA: dict[str, Any] = {"name": [{"use": "official", "given": ["Ada"], "family": "Example"}], "birthDate": "1974-02-01"}
SCOPE = "launch openid fhirUser patient/Patient.r"


@dataclass
class LaunchingSite:
    """A site with pages, and its EHR. `answer` is what the browser was answered with last."""

    site: Site
    ehr: SmartServer
    browser: FlaskClient | None = None
    smart: dict[str, Any] = field(default_factory=dict)

    @property
    def launch_url(self) -> str:
        """What the EHR is told to open."""
        return f"{self.site.address}/smart/launch"

    def set_up(self) -> FlaskClient:
        """The application as it is set now, in a new browser."""
        client = SmartClient(self.ehr.fhir, CLIENT_ID, SCOPE, **self.smart)
        self.ehr.client = Client(CLIENT_ID, f"{self.site.address}/smart/callback", client.secret)
        self.site.fhir_server = self.ehr.fhir
        (calling,) = self.site.service.parts().ehrs
        launching = replace(
            calling, fhir_server=self.ehr.fhir, smart=client, open=lambda token: FhirEhr(self.ehr.fhir, token)
        )
        self.site.changes["ehrs"] = (launching,)
        self.browser = self.site.app().test_client()
        return self.browser

    def card(self, *study_uids: str) -> Any:
        """A card of a call about these exams, which are scored."""
        for study_uid in study_uids or ("1.2.1",):
            self.site.score(study_uid, 0.066, date(2026, 5, 3))
        return self.site.card(*(study_uids or ("1.2.1",)))

    def get(self, url: str) -> TestResponse:
        """What the service answers to the browser."""
        browser = self.browser or self.set_up()
        return browser.get(url.removeprefix(self.site.address), base_url=HOME)

    def asked(self, launch: str) -> str:
        """The address of the EHR that a launch leads to."""
        answer = self.get(launch)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["Location"])

    def allowed(self, authorize: str, answer: str = "Allow") -> str:
        """Where the EHR sends the browser back to, once the clinician has answered."""
        page = requests.get(authorize, timeout=10, allow_redirects=False)
        if page.status_code != 200:
            return page.headers["Location"]
        action = page.text.partition('action="')[2].partition('"')[0]
        decided = requests.post(f"{self.ehr.address}{action}", {"answer": answer}, timeout=10, allow_redirects=False)
        return decided.headers["Location"]

    def launched(self, patient_id: str = PATIENT, app_context: object = None) -> TestResponse:
        """The answer to a launch that went all its way back to us."""
        url = self.ehr.launch(self.launch_url, patient_id, app_context)
        return self.get(self.allowed(self.asked(url)))

    def page(self, patient_id: str = PATIENT, app_context: object = None) -> TestResponse:
        """The page that such a launch leads to."""
        back = self.launched(patient_id, app_context)
        assert back.status_code == 303, back.text
        return self.get(back.headers["Location"])


@contextmanager
def launching_at(site: Site) -> Iterator[LaunchingSite]:
    """That site, its EHR at an address of its own."""
    listening, address = take_place()
    ehr = SmartServer(address, site.service.clock, {PATIENT: fhir_patient(**ADA)})
    with serve(ehr.app(), at=listening):
        yield LaunchingSite(site, ehr)


@pytest.fixture
def launching(site: Site) -> Iterator[LaunchingSite]:
    """A site in research mode whose EHR launches, over an empty store."""
    site.address = HOME
    with launching_at(site) as found:
        found.set_up()
        yield found
