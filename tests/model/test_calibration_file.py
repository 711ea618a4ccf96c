from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.calibration_file import calibrated_by, read_calibration, write_calibration
from model.errors import CalibrationRefused
from model.site_calibration import CalibratedAtSite, Isotonic, Platt, SiteCalibration
from tests.model.tiny_model import tiny_card

CARD = tiny_card(weights_sha256="ab" * 32)
LINE = SiteCalibration(
    "clinic-2026", CARD.version.key, Platt(0.9, -0.7), {"women": 4520, "by": "N. N.", "on": "2026-11-25"}
)
STEPS = SiteCalibration("clinic-2026", CARD.version.key, Isotonic(((-4.5, -5.1), (-3.0, -3.9), (-1.0, -1.5))))


def written(tmp_path: Path, calibration: SiteCalibration = LINE) -> Path:
    write_calibration(calibration, tmp_path / "calibration.json")
    return tmp_path / "calibration.json"


def forged(tmp_path: Path, **fields: Any) -> Path:
    """A file with fields that no program of ours has written, under a digest that fits them."""
    from model.calibration_file import _digest

    said = json.loads(written(tmp_path).read_text())
    del said["sha256"]
    said |= fields
    file = tmp_path / "forged.json"
    file.write_text(json.dumps({**said, "sha256": _digest(said)}))
    return file


@pytest.mark.parametrize("calibration", [LINE, STEPS])
def test_a_calibration_is_read_as_it_was_written(calibration: SiteCalibration, tmp_path: Path) -> None:
    assert read_calibration(written(tmp_path, calibration)) == calibration
    assert [file.name for file in tmp_path.iterdir()] == ["calibration.json"]


def test_a_copy_laid_out_anew_is_the_same_calibration(tmp_path: Path) -> None:
    file = written(tmp_path, STEPS)
    file.write_text(json.dumps(json.loads(file.read_text())))
    assert read_calibration(file) == STEPS


def test_a_card_is_calibrated_under_another_identity_and_another_class(tmp_path: Path) -> None:
    card = calibrated_by(CARD, written(tmp_path))
    assert isinstance(card.calibration, CalibratedAtSite)
    assert card.version.calibration == f"{CARD.calibration.identity}+{LINE.identity}"
    assert card.version.key != CARD.version.key
    assert calibrated_by(CARD, None) == CARD


def test_a_file_for_another_model_version_is_refused_with_both(tmp_path: Path) -> None:
    other = tiny_card(weights_sha256="cd" * 32)
    with pytest.raises(CalibrationRefused, match=r"fitted for 'tiny/abababababab.*the model is 'tiny/cdcdcdcdcdcd"):
        calibrated_by(other, written(tmp_path))


def test_a_calibration_over_a_calibration_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path)
    with pytest.raises(CalibrationRefused, match="fitted for"):
        calibrated_by(calibrated_by(CARD, file), file)


def test_a_number_changed_by_hand_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.write_text(file.read_text().replace("-0.7", "-0.2"))
    with pytest.raises(CalibrationRefused, match="not as it was written"):
        read_calibration(file)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"7", b'"calibration"', b"\xff\xfe", b"{}", b'{"format": NaN}', b"[" * 100_000,
     b'{"format": "mammotrend-calibration-2"}', b'{"format": "mammotrend-calibration-1"}', b" " * (1 << 20) + b"{}"],
)  # fmt: skip
def test_a_file_that_is_no_calibration_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    file.write_bytes(content)
    with pytest.raises(CalibrationRefused, match=r"calibration\.json"):
        read_calibration(file)


def test_a_file_that_is_not_there_is_told_with_the_setting_to_check(tmp_path: Path) -> None:
    with pytest.raises(CalibrationRefused, match=r"setting scoring\.calibration"):
        read_calibration(tmp_path / "absent.json")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "spline"},
        {"kind": "isotonic"},
        {"kind": []},
        {"map": None},
        {"map": {}},
        {"map": {"slope": "1", "intercept": 0}},
        {"map": {"slope": True, "intercept": 0}},
        {"map": {"slope": 10**400, "intercept": 0}},
        {"map": {"slope": -1.0, "intercept": 0.0}},
        {"map": {"slope": 1.0, "intercept": 0.0, "more": 1.0}},
        {"kind": "isotonic", "map": {"knots": [[-3.0, -4.0], [-4.0, -5.0]]}},
        {"kind": "isotonic", "map": {"knots": [[-3.0, -4.0, 1.0], [-2.0, -3.0]]}},
        {"kind": "isotonic", "map": {"knots": "-3"}},
        {"version": ""},
        {"version": "a\u202eb"},
        {"version": 7},
        {"model": None},
        {"fitted": None},
        {"fitted": {"women": [1]}},
    ],
)
def test_a_file_with_a_field_of_another_kind_is_refused(fields: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CalibrationRefused, match="cannot be used"):
        read_calibration(forged(tmp_path, **fields))


def test_a_folder_that_takes_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(CalibrationRefused, match="cannot be written"):
        write_calibration(LINE, tmp_path / "absent" / "calibration.json")


@pytest.mark.parametrize("name", ["", "a\nb", "clinic\u202e2026", "n" * 301])
def test_a_name_that_would_not_be_read_is_not_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(CalibrationRefused, match="must be a line of text"):
        written(tmp_path, replace(LINE, version=name))
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_names_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationRefused, match="cannot be written"):
        write_calibration(LINE, Path())
