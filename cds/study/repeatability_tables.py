"""How repeated scores differ, by the unit and by the level of the score, without any single pair."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from cds.errors import StudyNotPossible
from cds.pages.drawing import drawing
from cds.study.progress import Track
from cds.study.repeats import (
    BETWEEN,
    LEAST_PAIRS,
    LEAST_REPEATED,
    MOST_OF_ONE,
    NOT_KNOWN,
    are_enough,
    is_mostly_one_woman,
    levels,
    spread_of,
)
from cds.study.telling.small_cells import hidden_together

NOT_TOLD = "not told"
LIMITS_AT = 1.96


def by_device(pairs: pd.DataFrame, fewest: int, track: Track) -> tuple[pd.DataFrame, str]:
    """The spread on each unit, and between two; and the note that says what is not told."""
    of_unit = pairs.groupby("device")["patient"].agg(["size", "nunique"]).sort_index()
    counts, is_unit = of_unit["size"], ~of_unit.index.isin((BETWEEN, NOT_KNOWN))
    # All pairs on one unit are told together, the others are not: each side keeps its own.
    sides = (is_unit, of_unit.index == BETWEEN, of_unit.index == NOT_KNOWN)
    hidden = pd.concat([hidden_together(of_unit[side], fewest) for side in sides])
    rows = []
    for device in track(list(counts.index), "Units"):
        of_device, is_hidden = pairs[pairs["device"] == device], bool(hidden[device])
        told_of = {"pairs": NOT_TOLD if is_hidden else int(counts[device])}
        is_told = not is_hidden and are_enough(of_device, fewest) and not is_mostly_one_woman(of_device)
        rows.append({"unit": device, **told_of, **_spread_cells(of_device, is_told)})
    note = (
        f"Of fewer than {LEAST_PAIRS} pairs, of pairs of fewer than {max(LEAST_REPEATED, fewest)} women, or where one "
        f"woman has over {100 * MOST_OF_ONE:g} % of them, no standard deviation is told, of fewer than {fewest} not "
        "even how many pairs they are, nor a further row from which that would follow."
    )
    return pd.DataFrame(rows), note


def _spread_cells(pairs: pd.DataFrame, is_told: bool) -> dict[str, float | None]:
    names = ("standard deviation (points)", "minimum detectable change (points)", "from", "to")
    if not is_told:
        return dict.fromkeys(names)
    try:
        spread = spread_of(pairs)
    except StudyNotPossible:  # this unit's repeats are copies, which the others' are not
        return dict.fromkeys(names)
    return {name: round(value, 3) for name, value in zip(names, (spread.sd, *spread.detectable), strict=True)}


def by_level(pairs: pd.DataFrame, fewest: int) -> pd.DataFrame:
    """How the two scores differ in each level of their mean, in percentage points."""
    of_level = levels(pairs, fewest)
    difference = pairs["second"] - pairs["first"]
    grouped = difference.groupby(of_level)
    mean, sd = grouped.mean(), grouped.std()
    table = {
        "median score (%)": ((pairs["first"] + pairs["second"]) / 2).groupby(of_level).median(),
        "pairs": grouped.size(),
        "within-person standard deviation": (difference**2 / 2).groupby(of_level).mean() ** 0.5,
        "mean difference": mean,
        "lower limit": mean - LIMITS_AT * sd,
        "upper limit": mean + LIMITS_AT * sd,
    }
    return pd.DataFrame(table).round(3).reset_index(drop=True)


def differences_svg(table: pd.DataFrame) -> str:
    """The drawing of `by_level`."""
    return drawing("repeatability", 7.0, 3.2, partial(_draw, table=table))


def _draw(axes: Axes, table: pd.DataFrame) -> None:
    level, mean = table["median score (%)"], table["mean difference"]
    reach = [mean - table["lower limit"], table["upper limit"] - mean]
    axes.errorbar(level, mean, yerr=reach, fmt="o", gid="levels", capsize=4.0, color="#1f5f8b")
    axes.axhline(0.0, gid="none", linewidth=0.8, color="#5c6770")
    axes.set_xlabel("mean of the two scores")
    axes.set_ylabel("second minus first (points)")
    axes.xaxis.set_major_formatter("{x:g} %")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
