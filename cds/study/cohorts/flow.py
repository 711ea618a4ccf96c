"""The flow diagram of a study: how many women and exams there were, and why each that is missing was left out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import pandas as pd

from cds.study.telling.small_cells import part_told, whole_told

_ROUGHLY = " (to hundreds where a step below is not told, as it would follow from the number)"


@dataclass(frozen=True)
class Step:
    """One reason, and how many women and exams were lost, or changed, by it; women are lost with their last exam.

    `of` is of how many women and exams that were, where the others are still there; (0, 0) where they are of no whole.
    """

    words: str
    women: int
    exams: int
    of: tuple[int, int] = field(default=(0, 0), compare=False)

    def in_words(self, fewest: int) -> str:
        """How many women and exams, such that neither they nor the others are a few."""
        women, exams = (part_told(*both, fewest) for both in zip((self.women, self.exams), self.of, strict=True))
        return f"{women} women, {exams} exams"


@dataclass(frozen=True)
class Flow:
    """What was read, and what was left out of it in order; `noted` counts what was kept and put right."""

    women: int
    exams: int
    left_out: tuple[Step, ...] = ()
    noted: tuple[Step, ...] = ()

    def without(self, words: str, before: pd.DataFrame, after: pd.DataFrame) -> Self:
        """The flow with what is in the one table of exams and no longer in the other; nothing is said of nothing."""
        women = before["patient"].nunique() - after["patient"].nunique()
        exams = len(before) - len(after)
        return replace(self, left_out=(*self.left_out, Step(words, women, exams))) if exams else self

    def noting(self, words: str, women: int, exams: int, of: tuple[int, int] | None = None) -> Self:
        """The flow with what was kept, and how it was put right; `of` where it is not of the women who were kept."""
        whole = (self.women_kept, self.exams_kept) if of is None else of
        return replace(self, noted=(*self.noted, Step(words, women, exams, whole))) if women or exams else self

    def read_in_words(self, fewest: int) -> str:
        """How many women and exams were read, such that no step which is not told follows."""
        women = whole_told([self.women_kept, *(step.women for step in self.left_out)], fewest)
        exams = whole_told([self.exams_kept, *(step.exams for step in self.left_out)], fewest)
        is_rough = not (women.isdecimal() and exams.isdecimal())
        return f"{women} women, {exams} exams" + (_ROUGHLY if is_rough else "")

    @property
    def women_kept(self) -> int:
        """Those that are left after the last step."""
        return self.women - sum(step.women for step in self.left_out)

    @property
    def exams_kept(self) -> int:
        """Those that are left after the last step."""
        return self.exams - sum(step.exams for step in self.left_out)
