"""What is refused before anything starts: each unsafe setting by its name, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cds.errors import SettingsError
from cds.operations.safety import refuse_unsafe
from cds.settings import (
    CallerSettings,
    EhrSettings,
    PacsSettings,
    ServiceSettings,
    Settings,
    SmartSettings,
    read_settings,
)
from cds.settings.operations import OperationsSettings
from cds.settings.pages import PagesSettings
from cds.settings.secret_values import KeptSecret
from tests.servers import CHECKOUT

ISSUER = "https://ehr.example"
LONG_ENOUGH = "0123456789abcdef"
LAUNCHING = {
    "service": ServiceSettings(public_url="https://cds.example"),
    "pages": PagesSettings(secret_variable="PAGES_SECRET"),
}
"""What a site with launches has beside them."""


@pytest.fixture(autouse=True)
def _pages_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGES_SECRET", "a-key-that-signs-links-for-the-tests")


def site(**changes: Any) -> Settings:
    """A safe site but for the changes."""
    values: dict[str, Any] = {"ehrs": (ehr(),), "pacs": (pacs(),)}
    return Settings(**(values | changes))


def ehr(**changes: Any) -> EhrSettings:
    caller = CallerSettings(issuer=ISSUER, jwks_url="https://ehr.example/keys")
    values: dict[str, Any] = {"name": "main", "fhir_server": "https://ehr.example/r4", "caller": caller}
    return EhrSettings(**(values | changes))


def pacs(**changes: Any) -> PacsSettings:
    values: dict[str, Any] = {"name": "main", "dicomweb_root": "https://pacs.example/dicom-web"}
    return PacsSettings(**(values | changes))


def secret_file(folder: Path, mode: int, secret: str = LONG_ENOUGH) -> Path:
    file = folder / "secret"
    file.write_text(secret)
    file.chmod(mode)
    return file


def test_the_settings_that_the_deployment_folder_shows_are_safe() -> None:
    refuse_unsafe(read_settings(CHECKOUT / "deploy" / "mammotrend.toml", environment=False))


def test_everything_that_is_unsafe_is_told_at_once() -> None:
    with pytest.raises(SettingsError, match=r"ehrs\.0\.fhir_server must .*; pacs\.0\.dicomweb_root must"):
        refuse_unsafe(
            site(
                ehrs=(ehr(fhir_server="http://ehr.example/r4"),),
                pacs=(pacs(dicomweb_root="http://10.0.0.7/dicom-web"),),
            )
        )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ehrs": (ehr(fhir_server="http://ehr.example/r4"),)}, "ehrs.0.fhir_server"),
        ({"ehrs": (ehr(), ehr(name="b", fhir_server="http://b.example"))}, "ehrs.1.fhir_server"),
        (
            {"ehrs": (ehr(caller=CallerSettings(issuer=ISSUER, jwks_url="http://ehr.example/keys")),)},
            "ehrs.0.caller.jwks_url",
        ),
        (
            {"ehrs": (ehr(client_id="c", private_key_file=Path("k"), token_url="http://ehr.example/token"),)},
            "ehrs.0.token_url",
        ),
        ({"pacs": (pacs(dicomweb_root="http://pacs.example"),)}, "pacs.0.dicomweb_root"),
        ({"service": ServiceSettings(public_url="http://cds.example")}, "service.public_url"),
        (
            {"service": ServiceSettings(allowed_origins=("https://a.example", "http://b.example"))},
            "service.allowed_origins.1",
        ),
        ({"pages": PagesSettings(frame_ancestors=("http://ehr.example",))}, "pages.frame_ancestors.0"),
        (
            {"ehrs": (ehr(smart=SmartSettings(client_id="c", authorization_server="http://b.example")),), **LAUNCHING},
            "ehrs.0.smart.authorization_server",
        ),
    ],
)
def test_what_would_go_in_clear_to_another_machine_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=f"not safe: {named} must begin with https") as caught:
        refuse_unsafe(site(**changes))
    assert ".example" not in str(caught.value)  # an address may have something secret in its path


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]"])
def test_on_this_machine_nobody_reads_along(host: str) -> None:
    refuse_unsafe(site(ehrs=(ehr(fhir_server=f"http://{host}/r4"),), pacs=(pacs(dicomweb_root=f"http://{host}/web"),)))


def test_addresses_that_only_stand_in_texts_may_begin_with_http() -> None:
    refuse_unsafe(site(service=ServiceSettings(url="http://hospital.example/about")))


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (lambda file: {"ehrs": (ehr(access_token_file=file),)}, "ehrs.0.access_token_file"),
        (lambda file: {"ehrs": (ehr(client_id="c", private_key_file=file),)}, "ehrs.0.private_key_file"),
        (lambda file: {"pacs": (pacs(username="u", password_file=file),)}, "pacs.0.password_file"),
        (lambda file: {"operations": OperationsSettings(secret_file=file)}, "operations.secret_file"),
        (
            lambda file: {"ehrs": (ehr(smart=SmartSettings(client_id="c", secret_file=file)),), **LAUNCHING},
            "ehrs.0.smart.secret_file",
        ),
    ],
)
def test_a_secret_that_every_user_may_read_is_refused(tmp_path: Path, kind: Any, named: str) -> None:
    refuse_unsafe(site(**kind(secret_file(tmp_path, 0o640))))
    with pytest.raises(SettingsError, match=f"{named}: every user .* the file 'secret': chmod o= it") as caught:
        refuse_unsafe(site(**kind(secret_file(tmp_path, 0o644))))
    assert LONG_ENOUGH not in str(caught.value)


def test_keys_that_every_user_may_alter_would_let_anybody_be_the_ehr(tmp_path: Path) -> None:
    handed_over = ehr(caller=CallerSettings(issuer=ISSUER, jwks_file=secret_file(tmp_path, 0o644)))
    refuse_unsafe(site(ehrs=(handed_over,)))

    (tmp_path / "secret").chmod(0o646)

    with pytest.raises(SettingsError, match=r"ehrs\.0\.caller\.jwks_file: every user .* may alter .* chmod o-w it"):
        refuse_unsafe(site(ehrs=(handed_over,)))


@pytest.mark.parametrize("environment", [True, False])
def test_a_settings_file_that_every_user_may_alter_is_refused(tmp_path: Path, environment: bool) -> None:
    file = tmp_path / "mammotrend.toml"
    file.write_text("[service]\nport = 8411\n")
    file.chmod(0o644)
    refuse_unsafe(read_settings(file, environment=environment))

    file.chmod(0o666)

    with pytest.raises(SettingsError, match=r"the settings file: every user .* 'mammotrend\.toml': chmod o-w it"):
        refuse_unsafe(read_settings(file, environment=environment))


def test_so_is_a_profile_of_the_sites_own_which_is_a_part_of_it(tmp_path: Path) -> None:
    profile = tmp_path / "ours.toml"
    profile.write_text("timeout_s = 3.0\n")
    profile.chmod(0o644)
    settings = site(ehrs=(ehr(profile=str(profile)),))
    refuse_unsafe(settings)

    profile.chmod(0o646)

    with pytest.raises(SettingsError, match=r"ehrs\.0\.profile: every user .* may alter the file 'ours\.toml'"):
        refuse_unsafe(settings)


def test_a_database_that_every_user_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "site.sqlite"
    settings = site(database_url=f"sqlite:///{file}")
    refuse_unsafe(settings)  # it will be made, for its own user alone
    file.touch()

    file.chmod(0o644)
    with pytest.raises(SettingsError, match=r"database_url: every user .* 'site\.sqlite': chmod o= it"):
        refuse_unsafe(settings)

    file.chmod(0o640)
    refuse_unsafe(settings)


def test_what_cannot_be_looked_at_is_left_to_whoever_needs_it() -> None:
    beyond = Path("x" * 300)  # no file system has such a name; as with a closed folder, asking for it is an error

    refuse_unsafe(site(database_url=f"sqlite:///{beyond}", ehrs=(ehr(access_token_file=beyond),)))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+pg8000://user@db.example/site?sslmode=verify-full",
        "postgresql+pg8000://user@127.0.0.1/site",
        "postgresql+pg8000://user@/site?unix_sock=/run/postgresql/.s.PGSQL.5432",
        "no address at all",
    ],
)
def test_a_database_that_is_here_or_proves_who_it_is_is_safe(address: str) -> None:
    refuse_unsafe(site(database_url=address))


@pytest.mark.parametrize(
    "place",
    [
        "db.example/site",
        "db.example/site?sslmode=require",
        "/site?host=db.example",
        "localhost/site?host=localhost&host=db.example",
    ],
)
def test_a_database_elsewhere_must_prove_who_it_is(place: str) -> None:
    with pytest.raises(SettingsError, match=r"what goes to db\.example .*sslmode=verify-full") as caught:
        refuse_unsafe(site(database_url=f"postgresql+pg8000://user:hunter2@{place}"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_a_network_of_all_addresses_is_no_private_one(network: str) -> None:
    with pytest.raises(SettingsError, match="private_networks"):
        refuse_unsafe(Settings.model_validate({"private_networks": ["10.0.0.0/8", network]}))


@pytest.mark.parametrize(("block", "kind"), [("operations", OperationsSettings), ("pages", PagesSettings)])
def test_a_secret_that_can_be_guessed_is_refused(tmp_path: Path, block: str, kind: type[KeptSecret]) -> None:
    kept = kind(secret_file=secret_file(tmp_path, 0o600, "short"))
    with pytest.raises(SettingsError, match=f"{block}: a secret of fewer than 16 characters") as caught:
        refuse_unsafe(site(**{block: kept}))
    assert "short" not in str(caught.value)


def test_one_secret_does_not_both_watch_the_service_and_sign_its_links(tmp_path: Path) -> None:
    file = secret_file(tmp_path, 0o600)

    with pytest.raises(SettingsError, match="pages: whoever may read the metrics"):
        refuse_unsafe(site(operations=OperationsSettings(secret_file=file), pages=PagesSettings(secret_file=file)))
