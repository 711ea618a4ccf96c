from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model.calibration import PUBLISHED_MIRAI
from model.card import CARD_NAME, read_card, write_card
from model.errors import CheckpointBroken
from tests.model.tiny_model import tiny_card


def altered(folder: Path, **fields: Any) -> Path:
    """A folder with a card in which these fields were changed by hand."""
    write_card(tiny_card(), folder)
    card = json.loads((folder / CARD_NAME).read_text())
    (folder / CARD_NAME).write_text(json.dumps({**card, **fields}))
    return folder


def test_a_card_is_read_as_it_was_written(tmp_path: Path) -> None:
    card = tiny_card(measured={"c_index": 0.7}, training={"seed": 1})
    write_card(card, tmp_path)
    assert read_card(tmp_path) == card


def test_the_version_of_a_card_is_what_scores_are_stored_under() -> None:
    version = tiny_card(weights_sha256="ab" * 32).version
    assert version.key == f"tiny/abababababab/minmax-v1/{PUBLISHED_MIRAI.identity}"
    assert version.clinical is False


@pytest.mark.parametrize("clinical", ["yes", "true", "false", 1, 0, None, [True]])
def test_only_a_literal_true_makes_a_model_clinical(clinical: object, tmp_path: Path) -> None:
    with pytest.raises(CheckpointBroken, match="clinical"):
        read_card(altered(tmp_path, clinical=clinical))


def test_a_clinical_model_needs_no_banner_and_every_other_one_does(tmp_path: Path) -> None:
    assert read_card(altered(tmp_path, clinical=True, banner="")).version.clinical
    with pytest.raises(CheckpointBroken, match="banner"):
        read_card(altered(tmp_path, clinical=False, banner=""))


def test_a_folder_without_a_card_is_told_with_the_setting_to_check(tmp_path: Path) -> None:
    with pytest.raises(CheckpointBroken, match="setting `model`"):
        read_card(tmp_path)
    with pytest.raises(CheckpointBroken, match="setting `model`"):
        read_card(tmp_path / "absent")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"card"', b"{}", b"\xff\xfe", b"7"])
def test_a_file_that_is_no_card_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / CARD_NAME).write_bytes(content)
    with pytest.raises(CheckpointBroken):
        read_card(tmp_path)


CURVES = {"version": "v", "slopes": [1.0] * 5, "intercepts": [0.0] * 5}


@pytest.mark.parametrize(
    "fields",
    [
        {"calibration": None},
        {"calibration": {**CURVES, "slopes": [1.0] * 4}},
        {"calibration": {**CURVES, "slopes": ["a"] * 5}},
        {"calibration": {**CURVES, "slopes": [float("nan")] * 5}},
        {"calibration": {**CURVES, "version": 3}},
        {"calibration": {"version": "v"}},
        {"weights_sha256": None},
        {"name": 7},
        {"network": [1, 2]},
        {"picture": None},
        {"surprise": 1},
    ],
)
def test_a_card_with_a_field_of_another_kind_is_refused(fields: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CheckpointBroken):
        read_card(altered(tmp_path, **fields))


def test_reading_a_card_loads_no_torch() -> None:
    code = "import sys, model.card; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - our own words
