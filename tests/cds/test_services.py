"""Putting the real things together, from settings."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from flask import Flask, request
from pydantic import SecretStr

from cds.demo.loopback import serve
from cds.ehr.client import FhirEhr
from cds.errors import EhrUnreachable, ModelNotUsable, StudyNotFound, UntrustedServer
from cds.services import CallingEhr, archives, card_links, mri_policy, night_client, usable_card, web_services
from cds.settings import (
    CallerSettings,
    EhrSettings,
    OperationsSettings,
    OrderCodesSettings,
    OrderSettings,
    PacsSettings,
    PagesSettings,
    PolicySettings,
    ServiceSettings,
    Settings,
    SmartSettings,
)
from fhir_mappings.codes import CPT
from fhir_mappings.orders import (
    Order,
    is_breast_mri,
    is_other_mammography,
    is_screening_mammography,
    read_orders,
)
from hooks.case import Comparator
from hooks.site import Mode, Site
from tests.cds.builders import MODEL
from tests.cds.https_server import https_server
from tests.cds.model_card import BANNER, model_folder
from tests.cds.study.summary_files import put_study

PUBLIC_URL = "https://cds.example"


def settings(folder: Path, *modes: Mode, clinical: bool = False, **changes: Any) -> Settings:
    """Settings of a site with one EHR for each mode."""
    ehrs = tuple(
        EhrSettings(
            name=f"ehr-{mode}",
            fhir_server=f"https://{mode}.example/r4",
            mode=mode,
            time_zone="Asia/Tokyo",
            responsible_person="Dr. Demo",
            caller=CallerSettings(issuer=f"https://{mode}.example", jwks_url="https://keys.example/jwks.json"),
        )
        for mode in modes
    )
    values: dict[str, Any] = {
        "database_url": f"sqlite:///{folder / 'site.sqlite'}",
        "model": model_folder(folder / "model", clinical=clinical),
        "ehrs": ehrs,
        "service": ServiceSettings(trust="jwt" if Mode.ACTIVE in modes else "demo", public_url=PUBLIC_URL),
    }
    return Settings(**(values | changes))


def test_an_ehrs_cards_say_what_the_site_and_the_models_card_say(tmp_path: Path) -> None:
    order = OrderSettings(code="MRMAM", system="urn:oid:1.2", display="Breast MRI", intent="proposal")
    service = ServiceSettings(label="Clinic", url="https://clinic.example", answer_budget_s=0.5, trust="demo")

    parts = web_services(settings(tmp_path, Mode.RESEARCH, mri_order=order, service=service))

    (ehr,) = parts.ehrs
    assert (ehr.site.mode, ehr.site.demo_banner) == (Mode.RESEARCH, BANNER)
    assert (ehr.site.mri_order.code, ehr.site.mri_intent) == ("MRMAM", "proposal")
    assert (ehr.site.source.label, ehr.site.source.url) == ("Clinic", "https://clinic.example")
    assert (parts.answer_budget_s, parts.assessor.model) == (0.5, MODEL)


def test_the_source_of_a_card_is_the_service_alone_and_leads_only_where_the_site_says(tmp_path: Path) -> None:
    (ehr,) = web_services(settings(tmp_path, Mode.RESEARCH)).ehrs

    assert (ehr.site.source.label, ehr.site.source.url) == ("MammoTrend", None)


def order_of(system: str, code: str) -> Order:
    """An order as the EHR writes it, with one code."""
    written = {"resourceType": "ServiceRequest", "subject": {"reference": "Patient/p1"}}
    coded = {**written, "code": {"coding": [{"system": system, "code": code}]}}
    return read_orders([coded], "p1").orders[0]


def site_with(folder: Path, **changes: Any) -> Site:
    """What the cards of a site with these settings say."""
    (ehr,) = web_services(settings(folder, Mode.RESEARCH, **changes)).ehrs
    return ehr.site


def test_the_sites_own_mri_order_counts_as_breast_mri(tmp_path: Path) -> None:
    own = site_with(tmp_path, mri_order=OrderSettings(code="MRBR", system="urn:site"))

    assert is_breast_mri(order_of("urn:site", "MRBR"), own.order_codes)
    assert is_breast_mri(order_of(CPT, "77049"), own.order_codes)
    assert not is_breast_mri(order_of("urn:other", "MRBR"), own.order_codes)


def test_a_sites_own_order_codes_stand_beside_the_usual_ones(tmp_path: Path) -> None:
    code = {"system": "urn:site"}
    own = OrderCodesSettings.model_validate(
        {
            "screening_mammography": [{**code, "code": "MAMSCR"}],
            "other_mammography": [{**code, "code": "MAMDX"}],
            "breast_mri": [{**code, "code": "MR1"}, {"system": "urn:oid:2.16.840.1.113883.6.12", "code": "9999X"}],
        }
    )
    codes = site_with(tmp_path, order_codes=own).order_codes

    assert is_screening_mammography(order_of("urn:site", "MAMSCR"), codes)
    assert is_screening_mammography(order_of(CPT, "77067"), codes)
    assert is_other_mammography(order_of("urn:site", "MAMDX"), codes)
    assert not is_screening_mammography(order_of("urn:site", "MAMDX"), codes)
    assert is_breast_mri(order_of("urn:site", "MR1"), codes)
    assert is_breast_mri(order_of(CPT, "9999X"), codes)


def test_the_day_is_the_clinics_own(tmp_path: Path) -> None:
    (ehr,) = web_services(settings(tmp_path, Mode.SILENT)).ehrs

    assert ehr.local_day(datetime(2026, 5, 20, 23, 30, tzinfo=UTC)) == date(2026, 5, 21)


class KeepingAlive(BaseHTTPRequestHandler):
    """A FHIR server that keeps its connections, and notes for each request which it came by and with which token."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[int, str | None]]] = []
    ends: ClassVar[bool] = False

    def do_GET(self) -> None:
        self.seen.append((self.client_address[1], self.headers["Authorization"]))
        body = b'{"resourceType": "Patient", "id": "p1"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.ends

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def kept_alive(tmp_path: Path) -> Iterator[CallingEhr]:
    """An EHR whose server keeps its connections."""
    KeepingAlive.seen.clear()
    KeepingAlive.ends = False
    with ThreadingHTTPServer(("127.0.0.1", 0), KeepingAlive) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        ehr = EhrSettings(name="main", fhir_server=f"http://127.0.0.1:{server.server_port}/fhir")
        (calling,) = web_services(settings(tmp_path, ehrs=(ehr,))).ehrs
        yield calling
        server.shutdown()
        thread.join()


def test_the_connection_to_an_ehr_is_kept_from_call_to_call_and_no_token_with_it(kept_alive: CallingEhr) -> None:
    for token in ("a", "b", None):
        with kept_alive.open(token) as client:
            client.read("Patient/p1")

    assert [told for _, told in KeepingAlive.seen] == ["Bearer a", "Bearer b", None]
    assert len({port for port, _ in KeepingAlive.seen}) == 1


def test_a_connection_that_the_ehr_has_ended_is_made_anew(kept_alive: CallingEhr) -> None:
    KeepingAlive.ends = True
    for _ in range(3):
        with kept_alive.open("a") as client:
            client.read("Patient/p1")

    assert len({port for port, _ in KeepingAlive.seen}) == 3


def test_a_call_that_ends_leaves_the_connections_of_those_beside_it(kept_alive: CallingEhr) -> None:
    with kept_alive.open("a") as first:
        first.read("Patient/p1")
        with kept_alive.open("b") as second:
            second.read("Patient/p1")
        first.read("Patient/p1")

    assert len({port for port, _ in KeepingAlive.seen}) == 1


def test_an_ehr_is_opened_for_one_call(tmp_path: Path) -> None:
    (ehr,) = web_services(settings(tmp_path, Mode.SILENT)).ehrs

    with ehr.open("a-token") as client:
        assert isinstance(client, FhirEhr)
        assert "a-token" not in repr(vars(client))


def test_every_card_and_suggestion_has_a_uuid_of_its_own(tmp_path: Path) -> None:
    parts = web_services(settings(tmp_path, Mode.SILENT))

    assert len({parts.new_uuid() for _ in range(10)}) == 10


@pytest.mark.parametrize(("percent", "fraction"), [(1.7, 0.017), (0.3, 0.003), (3.0, 0.03), (2.9, 0.029), (0.1, 0.001)])
def test_a_threshold_in_percent_becomes_the_very_fraction_that_it_is(percent: float, fraction: float) -> None:
    policy = mri_policy(Settings(policy=PolicySettings(threshold_percent=percent)))

    assert policy.threshold == fraction
    assert not policy.is_crossed_by(fraction)


@pytest.mark.parametrize(("points", "fraction"), [(0.5, 0.005), (0.3, 0.003), (2.9, 0.029), (None, None)])
def test_a_minimum_detectable_change_in_points_becomes_the_very_fraction_that_it_is(
    points: float | None, fraction: float | None
) -> None:
    policy = mri_policy(Settings(policy=PolicySettings(minimum_detectable_change_points=points, gap_months=30)))

    assert policy.minimum_detectable_change == fraction
    assert policy.gap_months == 30


def test_the_policy_is_the_sites_and_its_source_the_standard_one_unless_the_site_names_another() -> None:
    standard = mri_policy(Settings())
    own = mri_policy(
        Settings(
            policy=PolicySettings(
                minimum_age_years=40,
                comparator=Comparator.AT_LEAST,
                mri_within_months=6,
                oldest_score_months=18,
                citation="Our own rule",
                citation_url="https://clinic.example/rule?v=2",
            )
        )
    )

    assert "NCCN" in standard.citation
    assert (own.minimum_age_years, own.mri_within_months, own.oldest_score_months) == (40, 6, 18)
    assert (own.citation, own.citation_url) == ("Our own rule", "https://clinic.example/rule?v=2")
    assert own.is_crossed_by(own.threshold)


def test_a_model_that_is_not_clinical_is_refused_where_any_ehr_is_active(tmp_path: Path) -> None:
    with pytest.raises(ModelNotUsable, match="refused for ehr-active"):
        web_services(settings(tmp_path, Mode.SILENT, Mode.ACTIVE))


@pytest.mark.parametrize("mode", [Mode.SILENT, Mode.RESEARCH])
def test_a_model_that_is_not_clinical_may_be_used_where_no_ehr_is_active(tmp_path: Path, mode: Mode) -> None:
    assert usable_card(settings(tmp_path, mode)).name == MODEL.name


def test_a_clinical_model_may_be_active_and_brings_no_banner(tmp_path: Path) -> None:
    (ehr,) = web_services(settings(tmp_path, Mode.ACTIVE, clinical=True)).ehrs

    assert (ehr.site.mode, ehr.site.demo_banner) == (Mode.ACTIVE, "")


def test_a_site_without_a_model_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ModelNotUsable, match=r"no card\.json"):
        web_services(settings(tmp_path, Mode.SILENT, model=tmp_path))


def test_a_site_may_name_the_authority_of_its_own_certificates(tmp_path: Path) -> None:
    with https_server(tmp_path) as (server, certificate):
        ehr = EhrSettings(name="main", fhir_server=f"{server}/fhir", ca_file=certificate)
        (calling,) = web_services(settings(tmp_path, ehrs=(ehr,))).ehrs
        with calling.open("a-token") as client:
            assert client.read("Patient/p1")["id"] == "p1"
        with night_client(ehr) as client:
            assert client.read("Patient/p1")["id"] == "p1"
        pacs = PacsSettings(name="main", dicomweb_root=f"{server}/dicom-web", ca_file=certificate)
        with pytest.raises(StudyNotFound):
            archives(Settings(pacs=(pacs,))).retrieve_study("1.2.3")


def test_without_it_a_server_that_nobody_vouches_for_is_not_spoken_to(tmp_path: Path) -> None:
    with https_server(tmp_path) as (server, _):
        ehr = EhrSettings(name="main", fhir_server=f"{server}/fhir")
        (calling,) = web_services(settings(tmp_path, ehrs=(ehr,))).ehrs
        with calling.open("a-token") as client, pytest.raises(EhrUnreachable):
            client.read("Patient/p1")


def credentials_seen(seen: list[str | None]) -> Flask:
    """An archive without studies, which notes the credentials of every request."""
    app = Flask("archive")

    @app.before_request
    def note() -> tuple[str, int]:
        seen.append(request.headers.get("Authorization"))
        return "", 204

    return app


def test_a_study_may_name_any_listed_archive_and_a_password_goes_to_its_own_alone() -> None:
    here: list[str | None] = []
    elsewhere: list[str | None] = []
    with serve(credentials_seen(here)) as main, serve(credentials_seen(elsewhere)) as other:
        roots = (f"{main}/first", f"{other}/second")
        one = PacsSettings(name="one", dicomweb_root=roots[0], username="cds", password=SecretStr("hunter2"))
        two = PacsSettings(name="two", dicomweb_root=roots[1])
        both = archives(Settings(pacs=(one, two)))
        for root in roots:
            with pytest.raises(StudyNotFound):
                both.retrieve_study("1.2.3", root)
        with pytest.raises(UntrustedServer):
            both.retrieve_study("1.2.3", f"{other}/third")

    assert here
    assert None not in here
    assert set(elsewhere) == {None}


def test_an_archive_knows_its_password_and_does_not_show_it(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    pacs = PacsSettings(
        name="main", dicomweb_root="https://pacs.example/dicom-web", username="cds", password_file=secret
    )

    assert "hunter2" not in repr(archives(Settings(pacs=(pacs,))))
    assert pacs.secret() == "hunter2"


LOOPBACK = "http://127.0.0.1:8410"


def test_links_are_signed_with_the_sites_secret_and_lead_to_its_public_address(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a-key-that-signs-links-for-the-tests\n")
    pages = PagesSettings(secret_file=secret, link_minutes=5)
    service = ServiceSettings(public_url=f"{PUBLIC_URL}/mammotrend/")

    links = card_links(settings(tmp_path, Mode.ACTIVE, clinical=True, pages=pages, service=service), LOOPBACK)

    assert links is not None
    assert links.url("c1", "main").startswith(f"{PUBLIC_URL}/mammotrend/trajectory/")
    assert (links.secret, links.lifetime) == ("a-key-that-signs-links-for-the-tests", timedelta(minutes=5))


def test_without_a_secret_a_site_has_no_links_and_no_pages(tmp_path: Path) -> None:
    wanted = settings(tmp_path, Mode.ACTIVE, clinical=True)

    assert card_links(wanted, LOOPBACK) is None
    assert web_services(wanted, links=card_links(wanted)).pages is None


def test_a_demonstration_makes_a_secret_up_at_each_start_and_links_to_where_it_is_reached(tmp_path: Path) -> None:
    demonstration = settings(tmp_path, Mode.RESEARCH, service=ServiceSettings(trust="demo"))

    one, other = card_links(demonstration, LOOPBACK), card_links(demonstration, LOOPBACK)

    assert one is not None
    assert other is not None
    assert one.url("c1", "main").startswith(f"{LOOPBACK}/trajectory/")
    assert one.secret != other.secret
    assert len(one.secret) >= 32
    assert card_links(demonstration) is None


def test_the_pages_describe_the_sites_model(tmp_path: Path) -> None:
    demonstration = settings(tmp_path, Mode.RESEARCH)

    pages = web_services(demonstration, links=card_links(demonstration)).pages

    assert pages is not None
    assert pages.model_card.version == MODEL
    assert pages.attributes().version == MODEL.key


def test_the_source_attributes_are_told_with_the_studies_in_the_folder_of_the_settings(tmp_path: Path) -> None:
    operations = OperationsSettings(studies_folder=tmp_path / "studies")
    put_study(tmp_path / "studies", "drift", MODEL.key)
    wanted = settings(tmp_path, Mode.RESEARCH, operations=operations)

    pages = web_services(wanted, links=card_links(wanted)).pages

    assert pages is not None
    (told,) = [row.local for row in pages.attributes().rows() if row.local]
    assert told[0].startswith("At this site, study of 2026-04-02: ")


def test_an_ehr_that_launches_has_a_link_of_its_own_and_one_that_does_not_a_signed_one(tmp_path: Path) -> None:
    smart = SmartSettings(client_id="page", authorization_server="https://login.example")
    wanted = settings(tmp_path, Mode.RESEARCH, service=ServiceSettings(trust="demo"))
    (ehr,) = wanted.ehrs
    both = (ehr, ehr.model_copy(update={"name": "other", "fhir_server": "https://other.example", "smart": smart}))
    wanted = wanted.model_copy(update={"ehrs": both, "pages": PagesSettings(frame_ancestors=("https://ehr.example",))})

    parts = web_services(wanted, links=card_links(wanted, LOOPBACK))

    plain, launching = parts.ehrs
    assert plain.smart is None
    assert launching.smart is not None
    assert launching.smart.fhir_server == "https://other.example"
    assert launching.smart.scope == "launch openid fhirUser patient/Patient.r"
    assert launching.smart.authorization_server == "https://login.example"
    assert parts.pages is not None
    assert parts.pages.frame_ancestors == ("https://ehr.example",)
    link = parts.pages.link("c1", launching)
    assert (link.type, link.url, link.app_context) == ("smart", f"{LOOPBACK}/smart/launch", "c1")
    assert parts.pages.link("c1", plain).type == "absolute"
