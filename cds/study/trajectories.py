"""The published analysis on this cohort: scores by year before the index exam, and how fast they change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pandas as pd

from cds.study.cohorts.aligned import Aligned, aligned
from cds.study.cohorts.cohort import Cohort
from cds.study.progress import Track
from cds.study.slopes import BEND_YEARS, FEWEST_WOMEN, Slopes, need_slopes, slopes_of
from cds.study.statistics.mixed_models import Estimate
from cds.study.telling.report import Picture, Report, Table
from cds.study.telling.small_cells import NOT_TOLD, hidden_together, told_together
from cds.study.trajectory_plot import trajectory_svg

GROUPS: Final = {True: "women with a cancer", False: "cancer-free women"}
AGES: Final = ("under 50", "50 to 59", "60 and over")
UNKNOWN: Final = "not known"
_DIFFERENCE: Final = "difference of the two"
_QUARTILES: Final = {"lower quartile %": 0.25, "median %": 0.5, "upper quartile %": 0.75}
_DECIMALS: Final = 2
"""Of a quartile: with more digits it is one woman's own score."""
_SLOPE_DECIMALS: Final = 3
_INTERVAL: Final = ("points a year", "95 % from", "95 % to")

_METHOD: Final = (
    "Slopes are those of linear mixed-effects models with a random intercept and slope for each woman, fitted to each "
    "group by itself by restricted maximum likelihood, in percentage points of the five-year score a year. Their 95 % "
    "intervals are those of large samples (Wald); the models take the women's levels and slopes, and the residuals, "
    "to be normal, which scores, skewed to high values, are only roughly."
)
_NOT_SHOWN: Final = (
    "The years are counted backwards from the index exam, which in women with a cancer was chosen by a diagnosis that "
    "nobody knew of before. So this tells how scores had run in women who then had a cancer; it does not tell what a "
    "rise means for a woman today, it gives no chance of a cancer, and no slope to act on. The index exam may already "
    "show the cancer. Cancer-free means that no diagnosis is known in the file."
)


def trajectories_report(cohort: Cohort, fewest: int, track: Track) -> Report:
    """The study of Lehman et al. (Radiology 2026) on this cohort; raises StudyNotPossible where it is too small."""
    study = aligned(cohort)
    exams = study.exams.assign(age_band=_age_bands(study.exams["age"]))
    for has_cancer, words in GROUPS.items():
        need_slopes(exams[exams["has_cancer"] == has_cancer], words, fewest)
    wholes = {
        words: slopes_of(exams[exams["has_cancer"] == has_cancer], fewest)
        for has_cancer, words in track(list(GROUPS.items()), "Fitting slopes")
    }
    by_year = _by_year(study)
    hidden = _hidden_years(by_year, fewest)
    return Report(
        "How scores ran before the index exam",
        tuple(_sentences(wholes)),
        (
            Picture("Scores by year before the index exam", trajectory_svg(by_year[~hidden]), _FIGURE),
            Table("scores_by_year", "The same as a table", _told_by_year(by_year, hidden), _BY_YEAR),
            Table("slopes", "Slopes", _slopes(wholes), _METHOD, _SLOPE_DECIMALS),
            Table(
                "slopes_by_subgroup",
                "Slopes by subgroup, over all years",
                _subgroups(exams, fewest, track),
                _SUBGROUPS,
                _SLOPE_DECIMALS,
            ),
            Table(
                "model_spread",
                "What the models leave to the women and to chance",
                _spread(wholes),
                _SPREAD,
                _SLOPE_DECIMALS,
            ),
        ),
        study.flow,
        _figures(wholes, by_year),
    )


_FIGURE: Final = (
    "Medians as lines, and from the lower to the upper quartile as bands, of women with a cancer and of cancer-free "
    "women. Years are rounded. A year whose number of women is not told is a gap."
)
_BY_YEAR: Final = (
    "Women may be in several years, and are not the same from year to year: a median can move because other women make "
    "it. Two exams of a woman may fall into one year. Not told is a number that is small, that would tell that a few "
    "women have no exam in that year, or that would tell such a one by subtraction from all exams."
)
_SUBGROUPS: Final = (
    f"Age and density are those at the index exam. Groups with fewer than {FEWEST_WOMEN} women with two exams have no "
    "slope, nor have those whose number is not told: too few, or what would tell them by subtraction. Intervals are "
    "95 %, each for itself: of so many some miss by chance."
)
_SPREAD: Final = (
    "Standard deviations. Level: of the women's own levels at the index exam, in percentage points; slope: of their "
    "own slopes, in points a year; residual: from exam to exam of one woman, in points."
)


def _age_bands(ages: pd.Series) -> pd.Series:
    return pd.cut(ages, [0, 50, 60, 200], right=False, labels=list(AGES)).astype(object)


def _by_year(study: Aligned) -> pd.DataFrame:
    """Women and quartiles by group and year before the index exam."""
    told_of = study.exams.assign(group=study.exams["has_cancer"].map(GROUPS), year=study.year_before)
    grouped = told_of.groupby(["group", "year"], sort=True)
    quartiles = {name: grouped["percent"].quantile(part).round(_DECIMALS) for name, part in _QUARTILES.items()}
    return pd.DataFrame({"women": grouped["patient"].nunique(), **quartiles}).reset_index()


def _hidden_years(by_year: pd.DataFrame, fewest: int) -> pd.Series:
    """Which rows are not told: together with their exams they are the flow's, where women come once a year.

    In the year of the index exam is everybody of a group, which is told elsewhere: who has no exam in another year must
    not be a few. Of a group that year with the fewest women is hidden first.
    """
    absent = by_year.groupby("group")["women"].transform("max") - by_year["women"]
    earlier = by_year.assign(absent=absent)[by_year["year"] > 0].sort_values("women", kind="stable")
    return hidden_together(earlier[["women", "absent"]], fewest).reindex(by_year.index, fill_value=False)


def _told_by_year(by_year: pd.DataFrame, hidden: pd.Series) -> pd.DataFrame:
    """Quartiles of a hidden row would say that enough women are in it."""
    table = by_year.rename(columns={"year": "years before"})
    table["women"] = told_together(by_year["women"], hidden)
    quartiles = list(_QUARTILES)
    table[quartiles] = table[quartiles].astype(object).where(~hidden, None)
    return table


def _slopes(wholes: Mapping[str, Slopes]) -> pd.DataFrame:
    rows = [(words, part, *_ends(one)) for words, parts in _all_parts(wholes).items() for part, one in parts.items()]
    return pd.DataFrame(rows, columns=["group", "years", *_INTERVAL])


def _all_parts(wholes: Mapping[str, Slopes]) -> dict[str, Mapping[str, Estimate]]:
    return {**{words: slopes.parts for words, slopes in wholes.items()}, _DIFFERENCE: _differences(wholes)}


def _differences(of_group: Mapping[str, Slopes]) -> dict[str, Estimate]:
    """How much faster scores change in women with a cancer, by what the slope is of."""
    ours, theirs = (
        of_group[GROUPS[has_cancer]].parts if GROUPS[has_cancer] in of_group else {} for has_cancer in (True, False)
    )
    return {part: estimate.minus(theirs[part]) for part, estimate in ours.items() if part in theirs}


def _ends(estimate: Estimate | None) -> tuple[float | None, float | None, float | None]:
    return (estimate.value, estimate.low, estimate.high) if estimate else (None, None, None)


def _subgroups(exams: pd.DataFrame, fewest: int, track: Track) -> pd.DataFrame:
    """The slopes of every subgroup; what only a cancer has (its type, its detection) without the cancer-free."""
    with_cancer = exams[exams["has_cancer"]]
    plans: list[tuple[str, str, pd.DataFrame]] = [
        ("age", "age_band", exams),
        ("density", "density", exams),
        ("type of cancer", "diagnosis_type", with_cancer),
        ("detection", "detection", with_cancer),
    ]
    return pd.concat([_by(*plan, fewest) for plan in track(plans, "Fitting subgroups")], ignore_index=True)


def _by(words: str, column: str, exams: pd.DataFrame, fewest: int) -> pd.DataFrame:
    levels = exams[column].astype(object).fillna(UNKNOWN)
    of_level = {
        level: {
            GROUPS[bool(has_cancer)]: slopes_of(group, fewest, with_bend=False)
            for has_cancer, group in exams[levels == level].groupby("has_cancer", sort=True)
        }
        for level in sorted(levels.unique())
    }
    hidden = _hidden(of_level, fewest)
    rows = [row for level, of_group in of_level.items() for row in _rows(words, level, of_group, hidden)]
    return pd.DataFrame(rows, columns=["by", "of", "group", "women", *_INTERVAL]).astype({"women": object})


def _hidden(of_level: Mapping[str, Mapping[str, Slopes]], fewest: int) -> set[tuple[str, str]]:
    """By level and group whose number is not told: all levels together are the group, which is told elsewhere."""
    sizes = {level: {group: one.women for group, one in of_group.items()} for level, of_group in of_level.items()}
    table = pd.DataFrame.from_dict(sizes, orient="index").fillna(0).astype(int)
    return {
        (str(level), str(group))
        for group in table
        for level, is_hidden in hidden_together(table[[group]], fewest).items()
        if is_hidden
    }


def _rows(
    words: str, level: str, of_group: Mapping[str, Slopes], hidden: set[tuple[str, str]]
) -> Iterator[tuple[object, ...]]:
    """A hidden group has no slope either, which would say that enough women are in it."""
    told = {group: slopes for group, slopes in of_group.items() if (level, group) not in hidden}
    for group, slopes in of_group.items():
        line = slopes.parts.get("all years") if group in told else None
        yield (words, level, group, str(slopes.women) if group in told else NOT_TOLD, *_ends(line))
    if difference := _differences(told).get("all years"):
        yield (words, level, _DIFFERENCE, None, *_ends(difference))


def _spread(wholes: Mapping[str, Slopes]) -> pd.DataFrame:
    rows = [
        (words, name, *fitted.spread.diagonal() ** 0.5, fitted.residual_sd)
        for words, slopes in wholes.items()
        for name, fitted in {"one slope": slopes.line, f"a bend at {BEND_YEARS} years": slopes.bent}.items()
        if fitted and fitted.converged
    ]
    return pd.DataFrame(rows, columns=["group", "model", "level", "slope", "residual"])


def _sentences(wholes: Mapping[str, Slopes]) -> Iterator[str]:
    for words, parts in _all_parts(wholes).items():
        changes = "; ".join(f"{part} {_change(estimate)}" for part, estimate in parts.items())
        if changes:  # else no model converged, which is said below
            yield f"Change of the score in percentage points a year (95 % interval), {words}: {changes}."
    for words, slopes in wholes.items():
        for warning in slopes.warnings:
            yield f"Of {words}: {warning}."
    yield _NOT_SHOWN


def _change(estimate: Estimate) -> str:
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"


_SHORT: Final = {GROUPS[True]: "cancer", GROUPS[False]: "cancer_free", _DIFFERENCE: "difference"}
_NAMES: Final = {
    "all years": "slope",
    f"more than {BEND_YEARS} years before": "slope_earlier",
    f"the last {BEND_YEARS} years": "slope_last_two_years",
    "last minus earlier": "slope_bend",
}


def _figures(wholes: Mapping[str, Slopes], by_year: pd.DataFrame) -> dict[str, float | int | str | None]:
    found: dict[str, float | int | str | None] = {}
    for words, parts in _all_parts(wholes).items():
        for part, estimate in parts.items():
            name = f"{_SHORT[words]}_{_NAMES[part]}"
            found |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    for words, slopes in wholes.items():
        at_index = by_year[(by_year["group"] == words) & (by_year["year"] == 0)]
        found[f"{_SHORT[words]}_women"] = slopes.women
        found[f"{_SHORT[words]}_median_percent_at_index"] = float(at_index["median %"].iloc[0])
    return found
