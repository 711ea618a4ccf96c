"""Whom the web service answers: what is refused at the start rather than left open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from cds.callers import callers
from cds.errors import SettingsError
from cds.settings import CallerSettings, EhrSettings, ServiceSettings, Settings
from hooks.site import Mode
from model.card import read_card
from tests.cds.model_card import model_folder

CALLER = CallerSettings(issuer="https://ehr.example", jwks_url="https://ehr.example/keys")
PUBLIC_URL = "https://cds.example"


def ehr(name: str = "main", **changes: Any) -> EhrSettings:
    values: dict[str, Any] = {
        "fhir_server": f"https://{name}.example/r4",
        "caller": CALLER,
        "responsible_person": "Dr. Demo",
    }
    return EhrSettings(name=name, **(values | changes))


def trust(folder: Path, engine: Engine, *ehrs: EhrSettings, clinical: bool = False, **service: Any) -> object:
    card = read_card(model_folder(folder / "model", clinical=clinical))
    return callers(Settings(ehrs=ehrs, service=ServiceSettings(**service)), engine, card)


def test_each_ehr_is_known_by_its_own_tokens(tmp_path: Path, engine: Engine) -> None:
    other = CallerSettings(issuer="https://other.example", jwks_url="https://other.example/keys")
    assert trust(tmp_path, engine, ehr(), ehr("other", caller=other), public_url=PUBLIC_URL)


def test_a_demonstration_answers_anybody_and_says_so_loudly(
    tmp_path: Path, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    assert trust(tmp_path, engine, ehr(caller=None), trust="demo") is None
    assert "every call on 127.0.0.1 is answered" in caplog.text


def test_a_demonstration_needs_a_model_that_is_one(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(SettingsError, match="demonstration model"):
        trust(tmp_path, engine, ehr(), clinical=True, trust="demo")
    with pytest.raises(SettingsError, match="demonstration model"):
        trust(tmp_path, engine, ehr(mode=Mode.ACTIVE), trust="demo")


@pytest.mark.parametrize("host", ["0.0.0.0", "cds.example", "192.168.1.2"])  # noqa: S104 - refused
def test_a_demonstration_is_for_loopback_alone(host: str) -> None:
    with pytest.raises(ValueError, match="answers anybody"):
        ServiceSettings(trust="demo", host=host)


def test_what_is_missing_is_named(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(SettingsError, match="public_url"):
        trust(tmp_path, engine, ehr())
    with pytest.raises(SettingsError, match=r"'main' has no \[ehrs.caller\] block"):
        trust(tmp_path, engine, ehr(caller=None), public_url=PUBLIC_URL)


def test_two_ehrs_cannot_be_one_issuer(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(SettingsError, match="belongs to two EHRs"):
        trust(tmp_path, engine, ehr(), ehr("other"), public_url=PUBLIC_URL)


def test_a_file_of_keys_must_be_there_at_the_start(tmp_path: Path, engine: Engine) -> None:
    file = tmp_path / "keys.json"
    handed_over = ehr(caller=CallerSettings(issuer="https://ehr.example", jwks_file=file))
    with pytest.raises(SettingsError, match="jwks_file of 'main'"):
        trust(tmp_path, engine, handed_over, public_url=PUBLIC_URL)
    file.write_text(json.dumps({"keys": []}))
    assert trust(tmp_path, engine, handed_over, public_url=PUBLIC_URL)


@pytest.mark.parametrize("both", [{}, {"jwks_url": "https://a.example/k", "jwks_file": Path("k")}])
def test_keys_come_from_one_place(both: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either jwks_url or jwks_file"):
        CallerSettings(issuer="https://ehr.example", **both)


def test_a_symmetric_algorithm_cannot_be_configured() -> None:
    with pytest.raises(ValueError, match="algorithms"):
        CallerSettings.model_validate({"issuer": "x", "jwks_file": "k", "algorithms": ["HS256"]})
