"""The file of a site's calibration: JSON with a digest, refused where anything in it is not as it was written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, NoReturn

from model.card import ModelCard
from model.errors import CalibrationRefused
from model.site_calibration import CalibratedAtSite, Isotonic, Platt, SiteCalibration

FORMAT: Final = "mammotrend-calibration-1"
_LARGEST_FILE = 1 << 20
_KINDS: Final[dict[str, type[Platt | Isotonic]]] = {"platt": Platt, "isotonic": Isotonic}


def calibrated_by(card: ModelCard, file: Path | None) -> ModelCard:
    """The card of a model as the site's file calibrates it, if there is one; raises CalibrationRefused."""
    if file is None:
        return card
    site = read_calibration(file)
    if isinstance(card.calibration, CalibratedAtSite) or site.model != card.version.key:
        raise CalibrationRefused(
            f"the calibration {site.version!r} was fitted for {site.model!r}, and the model is {card.version.key!r}: "
            "fit one for it (mammotrend study calibrate), or take the setting scoring.calibration out"
        )
    return replace(card, calibration=CalibratedAtSite(card.calibration, site))


def write_calibration(calibration: SiteCalibration, file: Path) -> None:
    """Write the file, in place of an earlier one; raises CalibrationRefused where it cannot be written."""
    kind = next(name for name, made in _KINDS.items() if isinstance(calibration.map, made))
    said = {
        "format": FORMAT,
        "version": calibration.version,
        "model": calibration.model,
        "kind": kind,
        "map": asdict(calibration.map),
        "fitted": dict(calibration.fitted),
    }
    try:
        _calibration(json.loads(json.dumps(said)))
        unfinished = file.with_name(file.name + ".new")
        unfinished.write_text(json.dumps({**said, "sha256": _digest(said)}, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(file)
    except OSError as e:
        raise CalibrationRefused(f"the calibration cannot be written to {file.name!r} ({type(e).__name__})") from e
    except ValueError as e:
        raise CalibrationRefused(f"the calibration cannot be written: {e}") from e


def read_calibration(file: Path) -> SiteCalibration:
    """The calibration in a file; raises CalibrationRefused with what is wrong."""
    said = _read(file)
    digest = said.pop("sha256", None)
    if said.get("format") != FORMAT:
        raise CalibrationRefused(f"{file.name!r} is not a calibration in the format {FORMAT!r}, the one that is read")
    if digest != _digest(said):
        raise CalibrationRefused(f"the calibration {file.name!r} is not as it was written; take the original again")
    try:
        return _calibration(said)
    except (ArithmeticError, KeyError, TypeError, ValueError) as e:
        raise CalibrationRefused(f"the calibration {file.name!r} cannot be used: {e}") from e


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise CalibrationRefused(f"{file.name!r} is too large for a calibration")
        said = json.loads(content, parse_constant=_refuse)
    except (OSError, RecursionError, ValueError) as e:
        raise CalibrationRefused(
            f"the calibration {file.name!r} cannot be read ({type(e).__name__}); check the setting scoring.calibration"
        ) from e
    if not isinstance(said, dict):
        raise CalibrationRefused(f"{file.name!r} is JSON, but no calibration")
    return said


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _calibration(said: dict[str, Any]) -> SiteCalibration:
    words = said["version"], said["model"]
    # They go into charts as they are, where a control character or a mark of direction would change what is read.
    if not all(isinstance(word, str) and word.isprintable() and 0 < len(word) <= 300 for word in words):
        raise ValueError("its version and its model must be a line of text")
    numbers = dict(said["map"])
    if "knots" in numbers:
        numbers["knots"] = tuple((_number(own), _number(observed)) for own, observed in numbers["knots"])
    else:
        numbers = {name: _number(value) for name, value in numbers.items()}
    fitted = dict(said["fitted"])
    if not all(type(fact) in (str, int, float) for fact in fitted.values()):
        raise ValueError("what it was fitted on must be words and numbers")
    return SiteCalibration(*words, _KINDS[said["kind"]](**numbers), fitted)


def _number(value: Any) -> float:
    """JSON's `true` and whole numbers of any length are numbers to Python."""
    if type(value) not in (int, float):
        raise TypeError(f"a {type(value).__name__} stands where a number should")
    return float(value)


def _digest(said: dict[str, Any]) -> str:
    """Of what is said, however it is laid out: a copy that was indented anew is the same calibration."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
