"""Every configured part of a site is tried, and what fails says how it is mended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response
from joserfc.jwk import ECKey

from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.loopback import serve, take_place
from cds.operations.checks import Finding, Outcome
from cds.operations.site_checks import site_checks
from cds.settings import (
    CallerSettings,
    EhrSettings,
    OperationsSettings,
    PacsSettings,
    PagesSettings,
    ScoringSettings,
    ServiceSettings,
    Settings,
    SmartSettings,
)
from cds.store.database import open_database
from cds.study.telling.summaries import FILE_NAME
from tests.builders import imaging_study
from tests.cds.model_card import model_folder
from tests.cds.pacs.archives import listing, refusing, study_row
from tests.cds.store.test_upgrade import first_layout
from tests.cds.study.summary_files import put_study
from tests.smart_server import SmartServer

NOBODY = "http://127.0.0.1:9"
TOKEN = "a-token-of-the-night"
PATIENTS = ("p1", "MRN-1", "ACC-1", "1.2.3")


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """What is entered is there until the test has ended."""
    with ExitStack() as stack:
        yield stack


def kept(folder: Path, name: str, content: str) -> Path:
    """A file that nobody else may read."""
    file = folder / name
    file.write_text(content)
    file.chmod(0o600)
    return file


def caller(folder: Path) -> CallerSettings:
    key = ECKey.generate_key("P-384", {"kid": "k1"}).as_dict(private=False)
    return CallerSettings(issuer="https://ehr.example", jwks_file=kept(folder, "jwks", json.dumps({"keys": [key]})))


def ehr(folder: Path, fhir_server: str = NOBODY, **changes: Any) -> EhrSettings:
    values: dict[str, Any] = {"name": "main", "fhir_server": fhir_server, "caller": caller(folder)}
    return EhrSettings(**(values | changes))


def site(folder: Path, **changes: Any) -> Settings:
    """A site whose EHR and archive do not answer."""
    values: dict[str, Any] = {
        "database_url": f"sqlite:///{folder / 'site.sqlite'}",
        "model": model_folder(folder / "model"),
        "ehrs": (ehr(folder),),
        "pacs": (PacsSettings(name="old", dicomweb_root=NOBODY),),
        "service": ServiceSettings(public_url="https://cds.example"),
    }
    return Settings(**(values | changes))


def checked(settings: Settings, now: datetime | None = None) -> dict[str, Finding]:
    """The findings by their parts; none of them names a patient or a secret."""
    findings = [check.finding() for check in site_checks(settings, lambda: now or datetime.now(UTC), with_model=False)]
    for finding in findings:
        assert not [word for word in (*PATIENTS, TOKEN) if word in finding.said + finding.mend]
    return {finding.part: finding for finding in findings}


def failures(findings: dict[str, Finding]) -> set[str]:
    return {part for part, finding in findings.items() if finding.outcome is Outcome.FAILED}


def test_a_site_where_everything_works_has_no_failure(tmp_path: Path, running: ExitStack) -> None:
    charts = ResourceStore()
    charts.put(imaging_study("p1", "2026-05-03", id="s1"))
    fhir_server = running.enter_context(serve(fhir_app(charts, [TOKEN])))
    archive = running.enter_context(serve(listing([study_row()])))
    settings = site(
        tmp_path,
        ehrs=(ehr(tmp_path, fhir_server, access_token_file=kept(tmp_path, "token", TOKEN)),),
        pacs=(PacsSettings(name="old", dicomweb_root=archive, username="u", password_file=kept(tmp_path, "pw", "x")),),
        operations=OperationsSettings(secret_file=kept(tmp_path, "secret", "0123456789abcdef")),
    )
    open_database(settings.database_url).dispose()
    (tmp_path / "site.sqlite").chmod(0o600)

    findings = checked(settings)

    assert failures(findings) == set()
    assert {part for part, finding in findings.items() if finding.outcome is Outcome.OK} == {
        "settings",
        "database",
        "disk",
        "secret access_token_file of main",
        "secret password of archive old",
        "secret of [operations]",
        "EHR main: server",
        "EHR main: clock",
        "EHR main: night's access",
        "EHR main: keys of its calls",
        "archive old",
        "model card",
    }
    assert findings["EHR main: server"].said == "answers, FHIR 4.0.1"
    assert findings["EHR main: keys of its calls"].said == "keys: 1"
    assert findings["model self-check"].said == "left out by --no-model"


def test_systems_that_do_not_answer_are_told_and_the_rest_is_tried(tmp_path: Path) -> None:
    findings = checked(site(tmp_path))

    assert failures(findings) == {"EHR main: server", "archive old"}
    assert findings["EHR main: clock"].outcome is Outcome.LEFT_OUT
    assert findings["EHR main: night's access"].outcome is Outcome.LEFT_OUT
    assert "fhir_server" in findings["EHR main: server"].mend
    assert findings["model card"].outcome is Outcome.OK


def test_a_site_without_an_ehr_and_an_archive_is_told_so(tmp_path: Path) -> None:
    findings = checked(site(tmp_path, ehrs=(), pacs=()))

    assert failures(findings) == {"settings", "archive"}


def test_settings_that_are_not_safe_are_a_failure(tmp_path: Path) -> None:
    findings = checked(site(tmp_path, service=ServiceSettings(public_url="http://cds.example")))

    assert "service.public_url must begin with https" in findings["settings"].said


# The database


def test_a_database_that_is_not_there_yet_is_not_made_by_looking(tmp_path: Path) -> None:
    assert checked(site(tmp_path))["database"].outcome is Outcome.OK
    assert not (tmp_path / "site.sqlite").exists()


def test_a_database_of_an_older_program_is_a_failure(tmp_path: Path) -> None:
    settings = site(tmp_path)
    first_layout(settings.database_url).dispose()

    assert "mammotrend db upgrade" in checked(settings)["database"].said


def test_a_database_without_its_folder_or_of_another_kind_is_a_failure(tmp_path: Path) -> None:
    lost = checked(site(tmp_path, database_url=f"sqlite:///{tmp_path / 'none' / 'site.sqlite'}"))
    other = checked(site(tmp_path, database_url="mysql://u:secret-word@127.0.0.1/x"))

    assert {"database", "disk"} <= failures(lost)
    assert "database" in failures(other)
    assert "secret-word" not in other["database"].said
    assert other["disk"].outcome is Outcome.LEFT_OUT


def test_a_database_that_cannot_be_looked_at_is_told_in_the_words_of_whoever_opens_it(tmp_path: Path) -> None:
    # No file system has such a name; as with a closed folder, asking for it is an error.
    found = checked(site(tmp_path, database_url=f"sqlite:///{tmp_path / ('x' * 300)}"))["database"]

    assert found.outcome is Outcome.FAILED
    assert found.said.startswith("database_url: ")


# The EHR


def saying(date: str | None) -> Flask:
    """A FHIR server that tells this time."""
    app = Flask("ehr")

    @app.get("/metadata")
    def metadata() -> Response:
        statement = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}
        return Response(json.dumps(statement), headers={"Date": date or "none"})

    return app


@pytest.mark.parametrize(("apart_s", "outcome"), [(0, Outcome.OK), (60, Outcome.OK), (61, Outcome.FAILED)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_that_differs_by_more_than_tokens_may_is_a_failure(
    tmp_path: Path, running: ExitStack, apart_s: int, outcome: Outcome, sign: int
) -> None:
    ours = datetime(2026, 5, 20, 23, 30, tzinfo=UTC)
    # It tells whole seconds: one second before ours may be the same moment.
    theirs = ours + sign * timedelta(seconds=apart_s + (sign < 0))
    fhir_server = running.enter_context(serve(saying(theirs.strftime("%a, %d %b %Y %H:%M:%S GMT"))))

    found = checked(site(tmp_path, ehrs=(ehr(tmp_path, fhir_server),)), ours)["EHR main: clock"]

    assert found.outcome is outcome
    assert found.said.startswith(f"{apart_s} s apart" if outcome is Outcome.OK else "its clock and ours are 61 s apart")


def test_a_server_that_tells_no_time_is_a_failure_because_nothing_is_known(tmp_path: Path, running: ExitStack) -> None:
    fhir_server = running.enter_context(serve(saying(None)))

    assert failures(checked(site(tmp_path, ehrs=(ehr(tmp_path, fhir_server),)))) >= {"EHR main: clock"}


def test_a_token_that_the_ehr_refuses_is_a_failure(tmp_path: Path, running: ExitStack) -> None:
    fhir_server = running.enter_context(serve(fhir_app(ResourceStore(), ["another"])))
    main = ehr(tmp_path, fhir_server, access_token_file=kept(tmp_path, "token", TOKEN))

    found = checked(site(tmp_path, ehrs=(main,)))

    assert failures(found) & {"EHR main: server", "EHR main: night's access"} == {"EHR main: night's access"}


def test_keys_that_cannot_be_had_or_used_are_a_failure(tmp_path: Path) -> None:
    empty = CallerSettings(issuer="https://ehr.example", jwks_file=kept(tmp_path, "empty", '{"keys": []}'))
    for wrong in (None, empty, CallerSettings(issuer="https://ehr.example", jwks_url=f"{NOBODY}/keys")):
        found = checked(site(tmp_path, ehrs=(ehr(tmp_path, caller=wrong),)))
        assert "EHR main: keys of its calls" in failures(found)


def test_in_a_demonstration_calls_bring_no_token(tmp_path: Path) -> None:
    demo = site(tmp_path, ehrs=(ehr(tmp_path, caller=None),), service=ServiceSettings(trust="demo"))

    assert checked(demo)["EHR main: keys of its calls"].outcome is Outcome.LEFT_OUT


# Secrets, archives, the model


def test_secrets_that_cannot_be_read_are_failures(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    settings = site(
        tmp_path,
        ehrs=(
            ehr(tmp_path, access_token_file=nowhere),
            ehr(tmp_path, "http://127.0.0.1:10", name="b", client_id="c", private_key_file=nowhere),
        ),
        pacs=(PacsSettings(name="old", dicomweb_root=NOBODY, username="u", password_variable="NO_SUCH_VARIABLE"),),
    )

    assert failures(checked(settings)) >= {
        "secret access_token_file of main",
        "secret private_key_file of b",
        "secret password of archive old",
        "EHR main: night's access",
        "EHR b: night's access",
        "archive old",
    }


def test_an_archive_whose_user_has_no_password_has_no_secret_that_could_be_read(tmp_path: Path) -> None:
    found = checked(site(tmp_path, pacs=(PacsSettings(name="old", dicomweb_root=NOBODY, username="u"),)))

    secret = found["secret password of archive old"]
    assert (secret.outcome, secret.said) == (Outcome.LEFT_OUT, "none is set")


def test_an_archive_that_refuses_our_user_is_a_failure(tmp_path: Path, running: ExitStack) -> None:
    archive = running.enter_context(serve(refusing(403)))

    found = checked(site(tmp_path, pacs=(PacsSettings(name="old", dicomweb_root=archive),)))

    assert "check its user" in found["archive old"].said


def test_a_model_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    assert "model card" in failures(checked(site(tmp_path, model=tmp_path / "none")))


def test_a_model_is_checked_on_the_machine_and_a_gpu_that_is_wanted_must_be_there(tmp_path: Path) -> None:
    # The card has no weights beside it, and no machine has so many GPUs.
    settings = site(tmp_path, scoring=ScoringSettings(device="cuda:999"))

    findings = {one.part: one.finding() for one in site_checks(settings, lambda: datetime.now(UTC))}

    assert findings["model self-check"].outcome is Outcome.FAILED
    assert findings["GPU"].outcome is Outcome.FAILED
    assert findings["GPU"].said.startswith("scoring.device is 'cuda:999'")


def test_a_folder_of_studies_is_looked_into_and_one_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    settings = site(tmp_path, operations=OperationsSettings(studies_folder=folder))

    lost = checked(settings)["studies"]
    put_study(folder, "impact", "a-model")
    (folder / "broken").mkdir()
    (folder / "broken" / FILE_NAME).write_text("{")
    found = checked(settings)["studies"]

    assert (lost.outcome, found.outcome) == (Outcome.FAILED, Outcome.OK)
    assert "operations.studies_folder" in lost.said
    assert found.said == "studies in their folder: 2, of which can be read: 1"
    assert checked(site(tmp_path))["studies"].outcome is Outcome.LEFT_OUT


def test_an_ehr_that_launches_is_asked_for_what_a_launch_needs(tmp_path: Path, running: ExitStack) -> None:
    listening, address = take_place()
    server = SmartServer(address, lambda: datetime.now(UTC), {})
    running.enter_context(serve(server.app(), at=listening))
    secret = kept(tmp_path, "client", "the-secret-of-the-page")
    smart = SmartSettings(client_id="page", secret_file=secret)
    settings = site(tmp_path, ehrs=(ehr(tmp_path, server.fhir, smart=smart),), pages=pages(tmp_path))

    findings = checked(settings)

    assert findings["EHR main: SMART launch"].outcome is Outcome.OK
    assert findings["EHR main: SMART launch"].said.startswith("offers PKCE with S256, keys: 1")
    assert findings["secret of [ehrs.smart] of main"].outcome is Outcome.OK
    server.configuration = {"code_challenge_methods_supported": ["plain"]}
    assert "no PKCE with S256" in checked(settings)["EHR main: SMART launch"].said
    server.configuration = {"token_endpoint": "https://elsewhere.example/token"}
    assert "set authorization_server" in checked(settings)["EHR main: SMART launch"].said
    assert "docs/connect-ehr.md" in checked(settings)["EHR main: SMART launch"].mend


def test_an_ehr_that_launches_and_does_not_answer_is_told(tmp_path: Path) -> None:
    settings = site(tmp_path, ehrs=(ehr(tmp_path, smart=SmartSettings(client_id="page")),), pages=pages(tmp_path))

    assert "EHR main: SMART launch" in failures(checked(settings))


def pages(folder: Path) -> PagesSettings:
    return PagesSettings(secret_file=kept(folder, "pages", "a-key-that-signs-links"))
