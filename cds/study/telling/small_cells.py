"""Small cells: of a group so small that somebody could be recognised in it, nothing is told but that it is small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd  # its tables are used as they come, so that the command line has FEWEST without it

NOT_TOLD = "not told"
FEWEST = 11
"""The least count that may be told: the cell size suppression policy of the US Centers for Medicare & Medicaid."""


def told(count: int, fewest: int = FEWEST) -> str:
    """A count in words: itself, or that it is small; none at all is nobody's secret."""
    return f"under {fewest}" if 0 < count < fewest else str(count)


def part_told(part: int, whole: int, fewest: int = FEWEST) -> str:
    """A part of a whole that is told, in words: nor is one told whose rest is small."""
    return NOT_TOLD if part >= fewest and 0 < whole - part < fewest else told(part, fewest)


def whole_told(parts: Sequence[int], fewest: int) -> str:
    """What all parts are together; where one is too small to be told, roughly, and made of the told ones alone.

    The exact sum would tell the hidden part by subtraction, and so would, near a hundred, a rounding of it.
    """
    if not any(0 < part < fewest for part in parts):
        return str(sum(parts))
    hundreds = round(sum(part for part in parts if part >= fewest), -2)
    return f"about {hundreds}" if hundreds else "under 100"


def hidden_together(parts: pd.DataFrame, fewest: int, already: pd.Series | None = None) -> pd.Series:
    """Which of the parts of one whole are not told: small ones, and further ones so that none follows by subtraction.

    A row for each part, a column for each count whose sum over all parts is told elsewhere; `already` are hidden too.
    """
    hidden = ((parts > 0) & (parts < fewest)).any(axis=1)
    hidden = hidden if already is None else hidden | already
    for part in parts.sum(axis=1).sort_values(kind="stable").index:
        together = parts[hidden].sum()
        if hidden.sum() != 1 and not ((together > 0) & (together < fewest)).any():
            break
        hidden[part] = True
    return hidden


def told_together(counts: pd.Series, hidden: pd.Series) -> list[str]:
    """Counts of the parts of one whole in words, with one word for all that are hidden.

    Were the small ones "under 11" among them, the others would be 11 or more, and with their sum could be reckoned.
    """
    return [NOT_TOLD if is_hidden else str(count) for count, is_hidden in zip(counts, hidden, strict=True)]


def told_in_turn(first: int, counts: Sequence[int], fewest: int = FEWEST) -> list[str]:
    """Counts that only rise or only fall from the first, in words: none from which a small one can be had."""
    tellable = may_be_told(first, counts, fewest)
    return [str(count) if may else NOT_TOLD for count, may in zip(counts, tellable, strict=True)]


def may_be_told(first: int, counts: Sequence[int], fewest: int = FEWEST) -> list[bool]:
    """Which counts that only rise or only fall may be told: who takes one from another that is told gets none small."""
    may, last = [], first
    for count in counts:
        may.append(count == last or (abs(count - last) >= fewest and (count == 0 or count >= fewest)))
        last = count if may[-1] else last
    return may
