from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from model.calibration import PUBLISHED_MIRAI, Calibration
from model.card import CARD_NAME, LONGEST_BANNER, read_card, write_card
from model.errors import CheckpointBroken
from model.release.published import NAME, PUBLISHED
from tests.model.tiny_model import tiny_card


def altered(folder: Path, **fields: Any) -> Path:
    """A folder with a card in which these fields were changed by hand."""
    write_card(tiny_card(), folder)
    card = json.loads((folder / CARD_NAME).read_text())
    (folder / CARD_NAME).write_text(json.dumps({**card, **fields}))
    return folder


def curves(**changes: Any) -> dict[str, Any]:
    """A calibration as a card has it, with these parts changed by hand."""
    return {**asdict(Calibration("v", (1.0,) * 5, (0.0,) * 5)), **changes}


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


def test_a_banner_that_would_lose_its_end_on_a_card_is_refused(tmp_path: Path) -> None:
    assert read_card(altered(tmp_path, banner="x" * LONGEST_BANNER))
    with pytest.raises(CheckpointBroken, match="longer than 200"):
        read_card(altered(tmp_path, banner="x" * (LONGEST_BANNER + 1)))


def test_a_folder_without_a_card_is_told_with_the_setting_to_check(tmp_path: Path) -> None:
    with pytest.raises(CheckpointBroken, match="setting `model`"):
        read_card(tmp_path)
    with pytest.raises(CheckpointBroken, match="setting `model`"):
        read_card(tmp_path / "absent")


ORIGINS = {role: {"sha256": sha256, "checksum": "published"} for sha256, role in PUBLISHED.items()}


def clinical(folder: Path, **fields: Any) -> Path:
    """The card of the published Mirai, with these fields changed by hand."""
    release = {"name": NAME, "clinical": True, "banner": "", "training": {"files": ORIGINS}}
    return altered(folder, **(release | fields))


def test_the_published_files_with_their_calibration_are_a_clinical_model(tmp_path: Path) -> None:
    assert read_card(clinical(tmp_path)).version.clinical


@pytest.mark.parametrize(
    "fields",
    [
        {"calibration": curves()},
        {"training": {}},
        {"training": {"files": None}},
        {"training": {"files": {}}},
        {"training": {"files": {role: ORIGINS[role] for role in ("image encoder", "transformer")}}},
        {"training": {"files": ORIGINS | {"calibrator": {"sha256": "ab" * 32, "checksum": "published"}}}},
        {"training": {"files": ORIGINS | {"calibrator": None}}},
        {"name": "mine", "training": {"files": ORIGINS | {"transformer": {"sha256": "ab" * 32}}}},
    ],
)
def test_a_clinical_card_of_an_import_has_the_published_files_and_calibration(
    fields: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointBroken, match="not the published ones"):
        read_card(clinical(tmp_path, **fields))
    assert read_card(clinical(tmp_path, **fields, clinical=False, banner="Not for clinical use."))


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"training": ' * 100_000])
def test_a_card_nested_beyond_all_bounds_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / CARD_NAME).write_bytes(content)
    with pytest.raises(CheckpointBroken, match="RecursionError"):
        read_card(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"card"', b"{}", b"\xff\xfe", b"7"])
def test_a_file_that_is_no_card_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / CARD_NAME).write_bytes(content)
    with pytest.raises(CheckpointBroken):
        read_card(tmp_path)


def test_a_calibration_is_read_as_it_was_written_whatever_its_name(tmp_path: Path) -> None:
    assert read_card(altered(tmp_path, calibration=curves(version="w"))).calibration.version == "w"


@pytest.mark.parametrize("year", range(5))
@pytest.mark.parametrize("curve", ["slopes", "intercepts"])
def test_an_edited_calibration_is_refused(curve: str, year: int, tmp_path: Path) -> None:
    edited = [number + 0.01 * (place == year) for place, number in enumerate(curves()[curve])]
    with pytest.raises(CheckpointBroken, match="not as it was written"):
        read_card(altered(tmp_path, calibration=curves(**{curve: edited})))


@pytest.mark.parametrize(
    "fields",
    [
        {"calibration": None},
        {"calibration": curves(slopes=[1.0] * 4)},
        {"calibration": curves(slopes=["a"] * 5)},
        {"calibration": curves(slopes=[True] * 5)},
        {"calibration": curves(slopes=[10**400] * 5)},
        {"calibration": curves(slopes=[float("nan")] * 5)},
        {"calibration": curves(slopes=[-1.0] * 5)},
        {"calibration": curves(version=3)},
        {"calibration": curves(sha256=None)},
        {"calibration": {"version": "v"}},
        {"weights_sha256": None},
        {"name": 7},
        {"description": ["Random weights."]},
        {"training": "by hand"},
        {"measured": None},
        {"network": [1, 2]},
        {"network": {"widths": 64}},
        {"network": {"widths": [4, 4, 8, "8"]}},
        {"network": {"heads": 0}},
        {"network": {"heads": 2.0}},
        {"network": {"hidden": 10**9}},
        {"network": {"relu_after_pool": 1}},
        {"picture": None},
        {"picture": {"depth": 64}},
        {"picture": {"rows": 0}},
        {"picture": {"rows": "2048"}},
        {"picture": {"rows": 1024.0}},
        {"picture": {"rows": True}},
        {"picture": {"columns": 300_000}},
        {"picture": {"mean": float("nan")}},
        {"picture": {"mean": "7047.99"}},
        {"picture": {"std": 0.0}},
        {"validated_devices": [{"manufacturer": "", "model_name": ""}]},
        {"validated_devices": [{"manufacturer": "Hologic", "model_name": " "}]},
        {"validated_devices": [{"manufacturer": "Hologic", "model_name": 2}]},
        {"validated_devices": [{"manufacturer": "Hologic"}]},
        {"validated_devices": "Hologic"},
        {"surprise": 1},
    ],
)
def test_a_card_with_a_field_of_another_kind_is_refused(fields: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CheckpointBroken):
        read_card(altered(tmp_path, **fields))


def test_reading_a_card_loads_no_torch() -> None:
    code = "import sys, model.card; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - our own words
