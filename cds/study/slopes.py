"""How fast scores change before the index exam, in points a year: over all years, and either side of two years."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from cds.errors import StudyNotPossible
from cds.study.statistics.mixed_models import Estimate, Fitted, fit
from cds.study.telling.small_cells import told

BEND_YEARS: Final = 2
FEWEST_WOMEN: Final = 30
"""With two exams at least: of fewer the spread of slopes, and with it every interval, is a guess."""


@dataclass(frozen=True)
class Slopes:
    """What the two models say of one group of women; the fits are None where the group is too small for them."""

    women: int
    exams: int
    line: Fitted | None
    bent: Fitted | None

    @property
    def parts(self) -> Mapping[str, Estimate]:
        """The slopes by what they are of; only those whose model converged."""
        line = {"all years": self.line.estimate(0, 1)} if self.line and self.line.converged else {}
        if not (self.bent and self.bent.converged):
            return line
        return {
            **line,
            f"more than {BEND_YEARS} years before": self.bent.estimate(0, 1, 0),
            f"the last {BEND_YEARS} years": self.bent.estimate(0, 0, 1),
            "last minus earlier": self.bent.estimate(0, -1, 1),
        }

    @property
    def warnings(self) -> Iterator[str]:
        """What must be known of the fits, in words."""
        for name, fitted in {"one slope": self.line, f"a bend at {BEND_YEARS} years": self.bent}.items():
            if fitted and not fitted.converged:
                yield f"the model with {name} did not converge: its numbers are not told"
            elif fitted and fitted.is_singular:
                yield (
                    f"in the model with {name} the women's own levels and slopes are not told apart (a singular fit); "
                    "its intervals are less sure"
                )


def slopes_of(exams: pd.DataFrame, fewest: int, *, with_bend: bool = True) -> Slopes:
    """The slopes of these women, from the table of `aligned`; none of fewer women than may be told."""
    years, scores, women = (exams[name].to_numpy() for name in ("years", "percent", "patient"))
    size = exams["patient"].nunique()
    if _repeated(exams) < _needed(fewest):
        return Slopes(size, len(exams), None, None)
    one, earlier, last = np.ones_like(years), np.minimum(years + BEND_YEARS, 0), np.maximum(years, -BEND_YEARS)
    line = fit(np.column_stack([one, years]), years, scores, women)
    can_bend = with_bend and exams.loc[years < -BEND_YEARS, "patient"].nunique() >= _needed(fewest)
    bent = fit(np.column_stack([one, earlier, last]), years, scores, women) if can_bend else None
    return Slopes(size, len(exams), line, bent)


def need_slopes(exams: pd.DataFrame, words: str, fewest: int) -> None:
    """Raise StudyNotPossible where a group is too small to have a slope."""
    if (repeated := _repeated(exams)) < _needed(fewest):
        raise StudyNotPossible(
            f"{told(repeated, fewest)} {words} with two exams or more; {_needed(fewest)} are needed, because of fewer "
            "the spread of their slopes, and with it every interval, would be a guess"
        )


def _repeated(exams: pd.DataFrame) -> int:
    """How many women have a second exam: without one there is no change."""
    return int((exams.groupby("patient").size() > 1).sum())


def _needed(fewest: int) -> int:
    return max(FEWEST_WOMEN, fewest)
