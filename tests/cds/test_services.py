"""Putting the real things together, from settings."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from cds.ehr.client import FhirEhr
from cds.errors import ModelNotUsable, SettingsError
from cds.services import archive, mri_policy, night, usable_card, web_services, worker
from cds.settings import EhrSettings, OrderSettings, PacsSettings, PolicySettings, ServiceSettings, Settings
from hooks.case import Comparator
from hooks.site import Mode
from tests.cds.builders import MODEL
from tests.cds.model_card import BANNER, model_folder


def settings(folder: Path, *modes: Mode, clinical: bool = False, **changes: Any) -> Settings:
    """Settings of a site with one EHR for each mode."""
    ehrs = tuple(
        EhrSettings(name=f"ehr-{mode}", fhir_server=f"https://{mode}.example/r4", mode=mode, time_zone="Asia/Tokyo")
        for mode in modes
    )
    values: dict[str, Any] = {
        "database_url": f"sqlite:///{folder / 'site.sqlite'}",
        "model": model_folder(folder / "model", clinical=clinical),
        "ehrs": ehrs,
    }
    return Settings(**(values | changes))


def test_an_ehrs_cards_say_what_the_site_and_the_models_card_say(tmp_path: Path) -> None:
    order = OrderSettings(code="MRMAM", system="urn:oid:1.2", display="Breast MRI", intent="proposal")
    service = ServiceSettings(label="Clinic", url="https://clinic.example", answer_budget_s=0.5)

    parts = web_services(settings(tmp_path, Mode.RESEARCH, mri_order=order, service=service))

    (ehr,) = parts.ehrs
    assert (ehr.site.mode, ehr.site.demo_banner) == (Mode.RESEARCH, BANNER)
    assert (ehr.site.mri_order.code, ehr.site.mri_intent) == ("MRMAM", "proposal")
    assert (ehr.site.source.label, ehr.site.source.url) == ("Clinic", "https://clinic.example")
    assert (parts.answer_budget_s, parts.assessor.model) == (0.5, MODEL)


def test_the_day_is_the_clinics_own(tmp_path: Path) -> None:
    (ehr,) = web_services(settings(tmp_path, Mode.SILENT)).ehrs

    assert ehr.today(datetime(2026, 5, 20, 23, 30, tzinfo=UTC)) == date(2026, 5, 21)


def test_an_ehr_is_opened_for_one_call_and_closed_after_it(tmp_path: Path) -> None:
    (ehr,) = web_services(settings(tmp_path, Mode.SILENT)).ehrs

    with ehr.open("a-token") as client:
        assert isinstance(client, FhirEhr)
        assert "a-token" not in repr(vars(client))


def test_every_card_and_suggestion_has_a_uuid_of_its_own(tmp_path: Path) -> None:
    parts = web_services(settings(tmp_path, Mode.SILENT))

    assert len({parts.new_uuid() for _ in range(10)}) == 10


@pytest.mark.parametrize(
    ("percent", "fraction"), [(1.7, 0.017), (0.3, 0.003), (3.0, 0.03), (2.9, 0.029), (1e-05, 1e-07)]
)
def test_a_threshold_in_percent_becomes_the_very_fraction_that_it_is(percent: float, fraction: float) -> None:
    policy = mri_policy(Settings(policy=PolicySettings(threshold_percent=percent)))

    assert policy.threshold == fraction
    assert not policy.is_crossed_by(fraction)


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


def test_a_worker_without_an_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"pacs\.dicomweb_root"):
        worker(settings(tmp_path, Mode.SILENT))


def test_a_worker_whose_model_has_no_weights_is_refused(tmp_path: Path) -> None:
    pacs = PacsSettings(dicomweb_root="https://pacs.example/dicom-web")

    with pytest.raises(ModelNotUsable):
        worker(settings(tmp_path, Mode.SILENT, pacs=pacs))


def test_the_night_reads_every_ehr_with_the_token_of_its_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("night-token\n")
    ehr = EhrSettings(name="main", fhir_server="https://ehr.example", access_token_file=token)

    run = night(settings(tmp_path, ehrs=(ehr,)))

    assert [one.name for one in run.ehrs] == ["main"]
    assert "night-token" not in repr(run)


def test_a_night_without_its_token_file_is_refused(tmp_path: Path) -> None:
    ehr = EhrSettings(name="main", fhir_server="https://ehr.example", access_token_file=tmp_path / "token")

    with pytest.raises(SettingsError, match="'token'"):
        night(settings(tmp_path, ehrs=(ehr,)))


def test_an_archive_knows_its_password_and_does_not_show_it(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    pacs = PacsSettings(dicomweb_root="https://pacs.example/dicom-web", username="cds", password_file=secret)

    with archive(pacs) as opened:
        assert "hunter2" not in repr(opened)
        assert pacs.secret() == "hunter2"
