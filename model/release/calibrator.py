"""The calibrator of the Mirai release, read as data -> five logistic curves.

Source: onconet/models/calibrator.py of Mirai v0.8.0.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Final

from model.calibration import Calibration
from model.domain import YEARS
from model.errors import ReleaseRefused
from model.release.inert_pickle import Inert

OLD_CALIBRATOR: Final = (
    "the calibrator is a scikit-learn object of an older release; download snapshots.zip of Mirai v0.8.0, whose "
    "calibrator holds its coefficients as numbers"
)


def calibration_of(root: Any, version: str) -> Calibration:
    """The curves of a pickled {year: MiraiCalibrator}; raises ReleaseRefused.

    The original computes 1 / (1 + exp(c * (b * p + b0) + c0)), so the slope is -c * b and the intercept -(c * b0 + c0).
    """
    if _mentions_sklearn(root):
        raise ReleaseRefused(OLD_CALIBRATOR)
    years = sorted(root) if isinstance(root, dict) and all(type(year) is int for year in root) else []
    if years not in ([0, 1, 2, 3, 4], [1, 2, 3, 4, 5]):
        raise ReleaseRefused(f"the calibrator does not have one curve for each of {len(YEARS)} years")
    curves = [_curve(root[year]) for year in years]
    try:
        return Calibration(version, tuple(a for a, _ in curves), tuple(b for _, b in curves))
    except ValueError as e:
        raise ReleaseRefused(f"the calibrator cannot be used: {e}") from e


def is_calibrator(root: Any) -> bool:
    """Whether this may be the release's calibrator: objects by year."""
    return isinstance(root, dict) and bool(root) and all(type(year) is int for year in root)


def _mentions_sklearn(root: Any) -> bool:
    parts = [*root.values()] if isinstance(root, dict) else [root]
    return any(isinstance(part, Inert) and part.name.startswith("sklearn.") for part in parts[: len(YEARS)])


def _curve(calibrator: Any) -> tuple[float, float]:
    if not isinstance(calibrator, Inert) or not calibrator.name.endswith(".MiraiCalibrator"):
        raise ReleaseRefused("the calibrator is not a MiraiCalibrator for every year")
    said: dict[Any, Any] = calibrator.state if isinstance(calibrator.state, dict) else {}
    names = ("base_estimator_slope", "base_estimator_offset", "calibrator_slope", "calibrator_offset")
    b, b0, c, c0 = (_number(said.get(name)) for name in names)
    return -c * b, -(c * b0 + c0)


def _number(value: Any) -> float:
    """A float, or one float64 as NumPy pickles it: a scalar, or an array of one."""
    if type(value) in (int, float) and abs(value) < 1e9:
        return float(value)
    raw = _double(value) if isinstance(value, Inert) else b""
    if len(raw) != 8:
        raise ReleaseRefused("a coefficient of the calibrator is not one number")
    number: float = struct.unpack("<d", raw)[0]
    if not math.isfinite(number):
        raise ReleaseRefused("a coefficient of the calibrator is not a finite number")
    return number


def _double(value: Inert) -> bytes:
    """The bytes of NumPy's scalar(dtype, bytes), _frombuffer(bytes, dtype, ..) or _reconstruct with a state."""
    if value.name.endswith(".multiarray.scalar"):
        dtype, data = _parts(value.args, 2)
    elif value.name.endswith(".numeric._frombuffer"):
        data, dtype, _, _ = _parts(value.args, 4)
    else:
        _, _, dtype, _, data = _parts(value.state, 5)
    kind = _parts(dtype.args, 3)[0] if isinstance(dtype, Inert) else None
    order = _parts(dtype.state, 8)[1] if isinstance(dtype, Inert) else None
    is_double = value.name.startswith("numpy.") and kind == "f8" and order == "<"
    return bytes(data) if is_double and isinstance(data, bytes | bytearray) and len(data) == 8 else b""


def _parts(value: Any, count: int) -> tuple[Any, ...]:
    """A tuple of that many parts, of nothing where the pickle has something else."""
    return value if isinstance(value, tuple) and len(value) == count else (None,) * count
