"""How the process that scores is put together."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from cds.delivery.clerk import Clerk
from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.loopback import serve
from cds.errors import ModelNotUsable, SettingsError
from cds.operations.sign_of_life import LASTS, SCHEDULE, checked_model
from cds.services import utc_now
from cds.settings import (
    EhrSettings,
    ImagingSettings,
    NightSettings,
    PacsSettings,
    RetentionSettings,
    ScoringSettings,
    Settings,
    read_settings,
)
from cds.store.database import open_database
from cds.store.retention import Kind
from cds.store.runs import RunRecords, RunSummary
from cds.worker_services import kept_for, site_night, worker_services
from model.card import DEMO_MODEL, read_card
from model.domain import ExclusionReason
from tests.cds.model_card import model_folder

PACS = (PacsSettings(name="main", dicomweb_root="http://127.0.0.1:9/dicom-web"),)


def settings(folder: Path, **values: Any) -> Settings:
    """A site with one EHR and the demo model."""
    ehr = EhrSettings(name="main", fhir_server="http://127.0.0.1:9/fhir")
    given: dict[str, Any] = {
        "database_url": f"sqlite:///{folder / 'x.sqlite'}",
        "model": DEMO_MODEL,
        "ehrs": (ehr,),
        "pacs": PACS,
    }
    return Settings(**(given | values))


def test_a_worker_without_an_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no \[\[pacs\]\] block"):
        worker_services(settings(tmp_path, pacs=()))


def test_a_worker_whose_model_has_no_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotUsable):
        worker_services(settings(tmp_path, model=model_folder(tmp_path / "model")))


def test_everything_is_kept_for_ever_unless_a_site_says_for_how_many_days(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[retention]\ncards_days = 400\nruns_days = 800\n")

    assert kept_for(Settings().retention) == {}
    assert kept_for(read_settings(file).retention) == {Kind.CARDS: timedelta(days=400), Kind.RUNS: timedelta(days=800)}


def test_the_archives_are_looked_into_only_where_the_site_says_so(tmp_path: Path) -> None:
    plain = worker_services(settings(tmp_path))
    polling = worker_services(settings(tmp_path, imaging=ImagingSettings(poll=True), night=NightSettings(cron="")))

    assert (plain.schedule.jobs, len(plain.night.looks)) == (["night"], 1)
    assert (polling.schedule.jobs, len(polling.night.looks)) == (["poll"], 2)


def test_unvalidated_units_that_the_site_does_not_refuse_any_more_are_tried_again(tmp_path: Path) -> None:
    refusing = worker_services(settings(tmp_path, refuse_unvalidated_devices=True))
    assert refusing.night.permitted == ()
    for writes in (True, False):
        permitting = worker_services(settings(tmp_path), writes=writes)
        assert permitting.night.permitted == (ExclusionReason.DEVICE_NOT_VALIDATED,)


def test_what_the_nodes_of_a_cluster_may_go_on_refusing_is_not_tried_again_each_night(tmp_path: Path) -> None:
    on_cluster = ScoringSettings(engine="ray")

    assert site_night(settings(tmp_path, scoring=on_cluster)).permitted == ()


def test_another_model_than_the_sites_only_scores_what_is_known_and_leaves_the_rest_to_the_sites_own(
    tmp_path: Path,
) -> None:
    site = settings(
        tmp_path,
        imaging=ImagingSettings(poll=True, find_priors=True),
        retention=RetentionSettings(runs_days=400),
    )

    own, other = worker_services(site).night, worker_services(site, writes=False).night

    assert (len(own.looks), own.clear is not None) == (2, True)
    assert (len(other.looks), other.clear) == (0, None)


def test_a_worker_says_that_it_is_there_with_the_model_of_the_settings(tmp_path: Path) -> None:
    site = settings(tmp_path)
    runs = RunRecords(open_database(site.database_url))
    signs = (SCHEDULE, checked_model(read_card(DEMO_MODEL).version.key))
    told = Event()
    told.set()

    parts = worker_services(site)
    assert not any(runs.is_signed(sign, utc_now(), LASTS) for sign in signs)
    parts.sign.run(told)
    assert all(runs.is_signed(sign, utc_now(), LASTS) for sign in signs)


class Broken(Clerk):
    """A clerk that ends by a fault that nobody foresaw."""

    def run(self, stop: Event) -> None:
        """Ends at once."""
        raise ZeroDivisionError


def test_a_worker_of_which_one_part_ends_by_a_fault_ends_as_a_whole(tmp_path: Path) -> None:
    parts, stop = worker_services(settings(tmp_path)), Event()

    with pytest.raises(ZeroDivisionError):
        replace(parts, clerk=Broken.__new__(Broken)).run(stop)

    assert stop.is_set()


def nothing_to_wait_for(*_: object) -> None:
    """No exam is found, so none is waited for."""


def run(settings: Settings) -> RunSummary:
    return site_night(settings).run(nothing_to_wait_for)


def test_the_nights_token_is_read_again_at_each_run(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first-token\n")
    with serve(fhir_app(ResourceStore(), ["second-token"])) as fhir_server:
        ehr = EhrSettings(name="main", fhir_server=fhir_server, access_token_file=token)
        night = site_night(settings(tmp_path, ehrs=(ehr,)))
        refused = night.run(nothing_to_wait_for)
        token.write_text("second-token\n")
        allowed = night.run(nothing_to_wait_for)
        token.unlink()
        unread = night.run(nothing_to_wait_for)

    assert "answered 401" in refused.problems[0]
    assert allowed.problems == ()
    assert "'token' cannot be read" in unread.problems[0]
    assert "-token" not in repr(night)


def test_a_night_without_its_token_file_is_refused_at_the_start(tmp_path: Path) -> None:
    ehr = EhrSettings(name="main", fhir_server="https://ehr.example", access_token_file=tmp_path / "token")

    with pytest.raises(SettingsError, match="'token'"):
        site_night(settings(tmp_path, ehrs=(ehr,)))


def test_every_ehr_of_the_site_is_read(tmp_path: Path) -> None:
    ehrs = [EhrSettings(name=name, fhir_server=f"http://127.0.0.1:9/{name}") for name in ("one", "two")]

    summary = run(settings(tmp_path, ehrs=tuple(ehrs)))

    assert [problem.split(":")[0] for problem in summary.problems] == ["one", "two"]
