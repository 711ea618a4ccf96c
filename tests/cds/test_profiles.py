"""Profiles of EHRs: what a block leaves out is taken from them, and what it says stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds.errors import SettingsError
from cds.settings import EhrSettings, RiskAssessmentBy, read_settings
from cds.settings.profiles import profile_names, with_profile

BLOCK = '[[ehrs]]\nname = "main"\nfhir_server = "https://ehr.example/r4"\n'
KEYS = '[ehrs.caller]\nissuer = "https://ehr.example"\njwks_url = "https://ehr.example/keys"\n'


def ehr(folder: Path, text: str) -> EhrSettings:
    file = folder / "mammotrend.toml"
    file.write_text(BLOCK + text)
    return read_settings(file, environment=False).ehrs[0]


def test_these_profiles_come_with_the_program() -> None:
    assert profile_names() == ["epic", "generic", "sandbox"]


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_can_be_used(tmp_path: Path, name: str) -> None:
    assert ehr(tmp_path, f'profile = "{name}"\n{KEYS}').profile == name


def test_a_block_says_the_last_word_also_within_a_table(tmp_path: Path) -> None:
    as_usual = ehr(tmp_path, f'profile = "epic"\n{KEYS}')
    own = ehr(tmp_path, f'profile = "epic"\nrisk_assessment = "suggestion"\n{KEYS}algorithms = ["ES384"]\n')

    assert as_usual.caller is not None
    assert own.caller is not None
    assert (as_usual.risk_assessment, as_usual.caller.algorithms) == (RiskAssessmentBy.NONE, ("RS384",))
    assert (own.risk_assessment, own.caller.algorithms) == (RiskAssessmentBy.SUGGESTION, ("ES384",))
    assert own.caller.issuer == "https://ehr.example"


def test_an_epic_shaped_ehr_needs_an_order_code_of_its_own_before_a_card_is_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="takes only orders of its own list"):
        ehr(tmp_path, f'profile = "epic"\nmode = "research"\n{KEYS}')
    own = f'profile = "epic"\nmode = "research"\n{KEYS}[ehrs.mri_order]\ncode = "IMG77049"\nsystem = "urn:oid:1.2.3"\n'
    assert ehr(tmp_path, own).mri_order is not None


def test_a_profile_of_the_sites_own_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text('time_zone = "Europe/Berlin"\n')
    assert ehr(tmp_path, f'profile = "{tmp_path / "ours.toml"}"\n').time_zone == "Europe/Berlin"


@pytest.mark.parametrize(("written", "said"), [(None, "neither one of epic, generic, sandbox"), ("[[", "is not TOML")])
def test_a_profile_that_cannot_be_read_is_refused_by_name(tmp_path: Path, written: str | None, said: str) -> None:
    if written is not None:
        (tmp_path / "ours.toml").write_text(written)
    with pytest.raises(SettingsError, match=said):
        ehr(tmp_path, f'profile = "{tmp_path / "ours.toml"}"\n')


def test_a_profile_that_is_no_text_is_left_to_the_settings_own_check() -> None:
    assert with_profile({"profile": 7}) == {"profile": 7}
