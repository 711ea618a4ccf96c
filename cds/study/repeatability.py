"""How far two scores of one woman differ by chance: from repeated exams, or an upper bound where there are too few."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal

import numpy as np
import pandas as pd
from scipy.stats import ttest_1samp

from cds.errors import StudyNotPossible
from cds.study.cohorts.assembling import SAME_ROW
from cds.study.cohorts.cohort import DAYS_PER_YEAR, Cohort
from cds.study.progress import Track
from cds.study.repeatability_tables import by_device, by_level, differences_svg
from cds.study.repeats import (
    DETECTABLE,
    LEAST_PAIRS,
    LEAST_REPEATED,
    MOST_OF_ONE,
    NOT_KNOWN,
    Spread,
    are_enough,
    grows,
    in_logarithms,
    is_mostly_one_woman,
    on_one_unit,
    pairs_within,
    spread_of,
)
from cds.study.statistics.mixed_models import fit
from cds.study.telling.report import Picture, Report, Table
from cds.study.telling.small_cells import told

TITLE = "Repeatability: how far two scores of one woman differ by chance"
MOST_DAYS = 366
YEAR = pd.Timedelta(days=365)
LEAST_POINTS, STEP = Decimal("0.1"), Decimal("0.01")
"""The least that the setting allows, and how finely it is told: rounded up, as less was not measured."""
LEAST_EXAMS, LEAST_WOMEN = 3, 100
"""Of two exams a level and a slope leave nothing to chance; and fewer women give no model worth telling."""
ASSUMES = (
    "It is assumed that nothing changed in the breast between the two exams, and that women who came back so soon are "
    "like the others, which those called back for a finding may not be. Positioning, compression and processing are in "
    "it; a change of the unit is {}."
)
KNOWN_UNITS, UNKNOWN_UNITS = "not: see that row of the table", "too, where there was one: give the column device"
MEANS = (
    "Where nothing changed, two scores differ by less than the minimum detectable change 19 times in 20{}. A smaller "
    "difference may still be a true one, and a larger one is no statement about cancer."
)
ALIKE = ", and by more once in 20"
GROWN = (
    " of all women together; of high scores, which differ more, less often: of these more than one in 20 rises or "
    "falls so far by chance"
)
NOT_LOOKED_AT = " of all women together; whether high scores differ more was not looked at"
ROUNDED_TO = 2
"""Decimals of a percentage: of scores with no more, two exams of a day often have the same."""


def repeatability_report(cohort: Cohort, fewest: int, track: Track, within_days: int = 92) -> Report:
    """The minimum detectable change, from repeats within so many days; with 0 from those of the same day alone."""
    if not 0 <= within_days <= MOST_DAYS:
        raise StudyNotPossible(f"--within-days is from 0 to {MOST_DAYS}")
    kept = _up_to_a_year_before_diagnosis(cohort)
    pairs = pairs_within(kept.exams, within_days)
    measured = on_one_unit(pairs)
    if not are_enough(measured, fewest):
        return _from_a_model(kept, within_days, measured, fewest)
    if is_mostly_one_woman(measured):
        raise StudyNotPossible(
            f"one woman has over {100 * MOST_OF_ONE:g} % of the pairs: the measure would be hers, or that of a phantom "
            "or a test patient; leave out her exams, or all but two of them"
        )
    return _from_repeats(kept, pairs, within_days, fewest, track)


def _up_to_a_year_before_diagnosis(cohort: Cohort) -> Cohort:
    diagnosed = cohort.exams["patient"].map(cohort.women["diagnosis_date"])
    is_near = cohort.exams["exam_date"] >= diagnosed - YEAR
    return cohort.only(~is_near, "an exam within the year before a diagnosis, or after it")


def _from_repeats(cohort: Cohort, pairs: pd.DataFrame, within_days: int, fewest: int, track: Track) -> Report:
    measured = on_one_unit(pairs)
    spread, is_grown = spread_of(measured), grows(measured)
    value, low, high = spread.detectable
    setting = setting_points(value)
    when = f"within {within_days} days" if within_days else "on the same day"
    is_one_unit = bool((measured["device"] != NOT_KNOWN).all())
    where = f"{when} and on one unit" if is_one_unit else f"{when} on units that are not known"
    dropped = _dropped_words(cohort, fewest)
    sentences = (
        f"{spread.pairs} pairs of exams of {told(spread.women, fewest)} women {where}: within-person "
        f"standard deviation {spread.sd:.3f} percentage points ({spread.low:.3f} to {spread.high:.3f}), minimum "
        f"detectable change {value:.2f} points ({low:.2f} to {high:.2f}). Intervals: 95 %, bootstrap over women.",
        *dropped,
        _shift_words(measured),
        _growth_words(measured, is_grown),
        f"As a setting, rounded up: [policy] minimum_detectable_change_points = {setting}. It is in settings.toml.",
        ASSUMES.format(KNOWN_UNITS if is_one_unit else UNKNOWN_UNITS),
        MEANS.format(GROWN if is_grown else ALIKE),
    )
    notes = [f"From {spread.pairs} pairs of exams {where}; 95 %: {low:.2f} to {high:.2f}.", *dropped]
    if is_grown:
        notes.append("Higher scores differ more: of unchanged high ones more than one in 20 differs by more than this.")
    return Report(
        TITLE,
        sentences,
        (
            Table("by_device", "By unit", *by_device(pairs, fewest, track), decimals=3),
            *_by_level(by_level(measured, fewest)),
        ),
        cohort.flow,
        _figures("repeats", spread.pairs, spread, value) | {"setting_points": float(setting)},
        {"settings.toml": _settings(setting, notes)},
    )


def _by_level(levels: pd.DataFrame) -> tuple[Table, Picture]:
    return (
        Table(
            "by_level",
            "By the level of the score",
            levels,
            "Levels of equal size, by the mean of the two scores, each with enough women to be told.",
            decimals=3,
        ),
        Picture(
            "Differences by level",
            differences_svg(levels),
            "Second score minus first, by the mean of both (after Bland and Altman): of each level the mean, and the "
            "limits within which 95 % of the differences lie. Single pairs are not drawn: each is one woman.",
        ),
    )


def _dropped_words(cohort: Cohort, fewest: int) -> list[str]:
    """That rows were taken for copies which, of scores as round as these, may have been repeats."""
    rows = sum(step.exams for step in cohort.flow.left_out if step.words == SAME_ROW)
    percent = 100 * cohort.exams["score"]
    if not rows or not np.allclose(percent, percent.round(ROUNDED_TO), rtol=0, atol=1e-9):
        return []
    return [
        f"{told(rows, fewest)} rows were left out as copies of others, and no score has more than {ROUNDED_TO} "
        "decimals in per cent: if they were second exams of the day with an equal score, the measure is too high. Give "
        "the scores unrounded."
    ]


def _shift_words(pairs: pd.DataFrame) -> str:
    differences = pairs["second"] - pairs["first"]
    around = ttest_1samp(differences, 0.0).confidence_interval(0.95)
    return (
        f"The second score is on average {differences.mean():+.3f} points from the first ({around.low:+.3f} to "
        f"{around.high:+.3f}); where that is not about 0, something did change between them."
    )


def _growth_words(pairs: pd.DataFrame, is_grown: bool) -> str:
    if not is_grown:
        return "Higher scores do not differ measurably more than low ones: one number serves for all."
    if not (pairs[["first", "second"]] > 0).all(axis=None):
        return "Higher scores differ more; as there are scores of 0, no factor tells by how much."
    try:
        logarithms = spread_of(in_logarithms(pairs))
    except StudyNotPossible:  # it is chance that the factor would tell of, and here there is none
        return "Higher scores differ more, and all in the same proportion: look whether these are repeats at all."
    times, low, high = (float(np.exp(one)) for one in logarithms.detectable)
    return (
        "Higher scores differ more, so that one number in points is too large for low scores and too small for "
        f"high ones. In proportion the minimum detectable change is a factor of {times:.2f} ({low:.2f} to {high:.2f}), "
        f"up or down, of the earlier score (standard deviation of the logarithm {logarithms.sd:.3f})."
    )


def _from_a_model(cohort: Cohort, within_days: int, repeats: pd.DataFrame, fewest: int) -> Report:
    """The residual of each woman's own line: chance, and with it whatever truly changed and was no straight line."""
    single = cohort.one_exam_a_day()
    counts = single.exams["patient"].map(single.exams["patient"].value_counts())
    followed = single.only(counts >= LEAST_EXAMS, f"a woman with fewer than {LEAST_EXAMS} exams")
    women, pairs = followed.exams["patient"].nunique(), len(repeats)
    few = (
        f"{told(pairs, fewest)} pairs of exams of {told(repeats['patient'].nunique(), fewest)} women within "
        f"{within_days} days on one unit, of {LEAST_PAIRS} pairs of {LEAST_REPEATED} women needed"
    )
    if women < max(LEAST_WOMEN, fewest):
        raise StudyNotPossible(
            f"there are {few}, so that the interval would be wide; and {told(women, fewest)} women with {LEAST_EXAMS} "
            f"exams, of {LEAST_WOMEN} needed for an upper bound: raise --within-days, or wait for more exams"
        )
    residual = _residual_sd(followed.exams)
    value = float(DETECTABLE) * residual
    setting = setting_points(value)
    sentences = (
        f"Not measured by repeats: there are {few}.",
        *_dropped_words(cohort, fewest),
        f"Estimated upper bound, from a mixed model of {len(followed.exams)} exams of {women} women (each with her own "
        f"level and slope): residual standard deviation {residual:.3f} points, minimum detectable change {value:.2f} "
        "or less. The residual holds chance, changes of the unit, and all true change that is no straight line. An "
        "estimate itself, it may by chance be a tenth too low, and a fifth where chance grows with the score.",
        f"settings.toml has it as a comment ({setting}): a bound that is too high calls true rises not measurable. "
        "It has no interval, as how far it lies above the truth is not known.",
        MEANS.format(NOT_LOOKED_AT),
    )
    figures = _figures("mixed_model", pairs if pairs == 0 or pairs >= fewest else None, None, value)
    note = f"An estimated upper bound from a mixed model; there were {few}."
    return Report(TITLE, sentences, (), followed.flow, figures, {"settings.toml": _settings(setting, [note], "# ")})


def _residual_sd(exams: pd.DataFrame) -> float:
    first = exams.groupby("patient")["exam_date"].transform("min")
    years = np.asarray((exams["exam_date"] - first).dt.days / DAYS_PER_YEAR, dtype=np.float64)
    percent = np.asarray(100 * exams["score"], dtype=np.float64)
    fitted = fit(np.column_stack([np.ones(len(years)), years]), years, percent, exams["patient"].to_numpy())
    if not fitted.converged:
        raise StudyNotPossible("there are too few repeats, and the mixed model did not converge: nothing can be told")
    return fitted.residual_sd


def setting_points(value: float) -> Decimal:
    """A minimum detectable change in percentage points as the setting takes it, never less than was measured."""
    return max(LEAST_POINTS, Decimal(repr(value)).quantize(STEP, ROUND_CEILING))


def _settings(points: Decimal, notes: Sequence[str], mark: str = "") -> str:
    comments = "".join(f"# {note}\n" for note in notes)
    return f"{comments}[policy]\n{mark}minimum_detectable_change_points = {points}\n"


def _figures(
    source: str, pairs: int | None, spread: Spread | None, value: float
) -> dict[str, float | int | str | None]:
    _, low, high = spread.detectable if spread else (None, None, None)
    return {
        "source": source,
        "pairs": pairs,
        "within_person_sd_points": spread.sd if spread else None,
        "minimum_detectable_change_points": value,
        "minimum_detectable_change_low": low,
        "minimum_detectable_change_high": high,
    }
