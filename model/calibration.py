"""Raw network probability -> calibrated risk, one logistic curve a year, as the published Mirai calibrator does."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from model.domain import YEARS


@dataclass(frozen=True)
class Calibration:
    """`sigmoid(slope * p + intercept)` of the raw probability p (not of its logit), float64, for years 1 to 5.

    A higher probability is a higher risk: every slope is over 0.
    """

    version: str
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    sha256: str = field(init=False, compare=False)
    """Of the curves. A card that was edited by hand has another one than its curves."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", hashlib.sha256(repr((self.slopes, self.intercepts)).encode()).hexdigest())
        if not len(self.slopes) == len(self.intercepts) == len(YEARS):
            raise ValueError(f"a calibration needs a slope and an intercept for each of {len(YEARS)} years")
        # JSON as Python reads it allows NaN; beyond 700 the exponential of a probability's curve overflows.
        if not all(abs(slope) + abs(base) < 700 for slope, base in zip(self.slopes, self.intercepts, strict=True)):
            raise ValueError("a calibration needs finite slopes and intercepts of a sensible size")
        if not all(slope > 0 for slope in self.slopes):
            raise ValueError("a calibration needs slopes over 0: a higher probability is a higher risk")

    def risks(self, raw: Sequence[float]) -> tuple[float, ...]:
        """Five calibrated fractions from five raw ones, none over the next year's.

        Each curve is fitted by itself, so two can cross far from what they were fitted on. A risk within three years
        cannot be over the risk within four: the earlier year gives way, and the fifth, which the rule reads, never
        moves. The published curves do not cross.
        """
        curves = zip(self.slopes, self.intercepts, raw, strict=True)
        risks = [1 / (1 + math.exp(-(slope * p + intercept))) for slope, intercept, p in curves]
        return tuple(accumulate(reversed(risks), min))[::-1]

    @property
    def identity(self) -> str:
        """The version with a digest of the curves: curves edited under an old name are another calibration."""
        return f"{self.version}-{self.sha256[:8]}"


PUBLISHED_MIRAI = Calibration(
    version="mirai-v0.8.0",
    slopes=(5.20220457750069, 4.71906178028434, 4.27617746015140, 4.21836038189292, 3.90438404034106),
    intercepts=(-6.94170881147418, -6.11898167136251, -5.45589794861255, -5.11944809163360, -4.77662170697441),
)
"""The calibrator of the published release (snapshots.zip v0.8.0): year 5 lies between 0.835 % and 29.48 %."""
