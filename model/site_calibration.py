"""A site's own calibration: a monotone map, fitted on its own patients, over the risks of one model. Needs no torch."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Final, Protocol

from model.calibration import Calibration

MOST_KNOTS: Final = 200
_FURTHEST = 50.0
"""A logit beyond it is 0 % or 100 % for every purpose: a map that reaches so far was not fitted on patients."""
_NEXT_TO_NOTHING = 1e-12


class Map(Protocol):
    """What is done to the logit of a risk."""

    def __call__(self, logit: float, /) -> float:
        """The calibrated logit; never a lower one for a higher."""
        ...


@dataclass(frozen=True)
class Platt:
    """A straight line over the logit."""

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        # A line as flat as that makes the same of all women.
        if not (1 / _FURTHEST <= self.slope <= _FURTHEST and abs(self.intercept) <= _FURTHEST):
            raise ValueError("the slope of a calibration must be over 0, and its numbers of a sensible size")

    def __call__(self, logit: float, /) -> float:
        return self.slope * logit + self.intercept


@dataclass(frozen=True)
class Isotonic:
    """Straight pieces between knots over the logit, each a pair of logits: the model's, and the one observed.

    Beyond the first and the last knot the shift of that knot is kept: level ends would make all women there the same.
    """

    knots: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.knots) <= MOST_KNOTS or not all(len(knot) == 2 for knot in self.knots):
            raise ValueError(f"a calibration needs between 2 and {MOST_KNOTS} knots, each a pair")
        if not all(abs(logit) <= _FURTHEST for knot in self.knots for logit in knot):
            raise ValueError("the knots of a calibration must be finite and of a sensible size")
        if not all(one[0] < next_[0] and one[1] <= next_[1] for one, next_ in pairwise(self.knots)):
            raise ValueError("the knots of a calibration must rise")

    def __call__(self, logit: float, /) -> float:
        after = bisect_right(self.knots, logit, key=lambda knot: knot[0])
        if after in (0, len(self.knots)):
            own, observed = self.knots[0 if after == 0 else -1]
            return observed + (logit - own)
        (left, low), (right, high) = self.knots[after - 1], self.knots[after]
        return min(low + (high - low) * (logit - left) / (right - left), high)


@dataclass(frozen=True)
class SiteCalibration:
    """A map with its name, the model version (ModelVersion.key) that it was fitted for, and what it was fitted on."""

    version: str
    model: str
    map: Platt | Isotonic
    fitted: Mapping[str, str | int | float] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """The name with a digest of what it does: a map edited under an old name is another calibration."""
        digest = hashlib.sha256(repr((self.model, self.map)).encode()).hexdigest()
        return f"{self.version}-{digest[:8]}"


@dataclass(frozen=True)
class CalibratedAtSite:
    """A model's own calibration with the site's over it."""

    own: Calibration
    site: SiteCalibration

    def risks(self, raw: Sequence[float]) -> tuple[float, ...]:
        """Five calibrated fractions from five raw ones, none over the next year's.

        The site's map is fitted on the fifth year, which the rule reads, and is used for every year: so no year's risk
        can come to be over the next one's, and no two women change places in any year. That the first four years are
        calibrated as well is not claimed.
        """
        risks = [mapped(self.site.map, risk) for risk in self.own.risks(raw)]
        return tuple(accumulate(reversed(risks), min))[::-1]

    @property
    def version(self) -> str:
        """Both names, for who reads them."""
        return f"{self.own.version}+{self.site.version}"

    @property
    def identity(self) -> str:
        """Of both: scores with the site's calibration are never joined with scores that have none, or another."""
        return f"{self.own.identity}+{self.site.identity}"


def mapped(over: Map, risk: float) -> float:
    """The calibrated risk of a risk, both fractions."""
    risk = min(max(risk, _NEXT_TO_NOTHING), 1 - _NEXT_TO_NOTHING)
    logit = over(math.log(risk) - math.log1p(-risk))
    # The exponential of a large number overflows, that of its negative does not.
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))
