"""Whether the scores of a unit, or the share of exams that are refused, changed from one month to another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from math import sqrt

import numpy as np
import pandas as pd

from cds.errors import StudyNotPossible
from cds.operations.drift_alarm import LEAST_EXAMS, Drift, error_of_median, judge
from cds.pages.drift_plot import Scale, drift_svg
from cds.store.refusal_rates import MonthOfRefusals
from cds.store.score_spread import ScoreSpread
from cds.study.cohorts.cohort import Cohort
from cds.study.progress import Track
from cds.study.statistics.change_points import LEAST_MONTHS, ChangePoint, change_points
from cds.study.statistics.proportions import shares
from cds.study.telling.report import Picture, Report, Table
from cds.study.telling.small_cells import hidden_together, told_together

NOT_NAMED = "not named"
MOST_DRAWN = 6
ALL_UNITS = "all units"
CHANGES_NOTE = (
    f"Of units with {LEAST_MONTHS} months of at least {LEAST_EXAMS} exams. By PELT over the medians, in units of their "
    "noise; at most about one unit in 25 has one by chance. A slow slope, as of women who grow older, is told as steps."
)
MONTHS_NOTE = (
    "In per cent. Not told: too few exams, or what would tell them by subtraction; of these no quartiles either."
)
LIMITS = (
    "A change says that scores lie otherwise, and not why: another unit, software or processing, or other women. Where "
    "all units move together, look at who is invited; where one does, look at that unit. Whether a score that moved is "
    "still right for the women is asked by the study of calibration."
)


def drift_report(cohort: Cohort, fewest: int, track: Track, refusals: Sequence[MonthOfRefusals] = ()) -> Report:
    """Quartiles by unit and month, change points, and the alarms that the operator's page has by the same rule."""
    spread = monthly_spread(cohort.exams, fewest)
    if all(one.median is None or one.exams < LEAST_EXAMS for one in spread):
        raise StudyNotPossible(f"no unit has a month with {LEAST_EXAMS} exams, which a median of a month needs")
    last = cohort.exams["exam_date"].max().date()
    judged = judge(spread, last + timedelta(days=1))
    told_of = _told(spread, fewest)
    of_unit = _by_unit(told_of)
    units = list(of_unit)
    changes = {unit: _changes(of_unit[unit]) for unit in track(units, "Units")}
    refused = _refusal_changes(refusals, fewest)
    scale = Scale.of(told_of)
    drawn = [unit for unit in units if any(one.median is not None for one in of_unit[unit])][:MOST_DRAWN]
    return Report(
        "Drift: scores and refusals month by month",
        (*_sentences(judged, changes, last), *_refusal_words(refusals, refused), LIMITS),
        (
            Table("change_points", "Changes of level", _changes_table(changes | {ALL_UNITS: refused}), CHANGES_NOTE),
            *(_picture(number, unit, scale, of_unit[unit], changes[unit]) for number, unit in enumerate(drawn)),
            Table("months", "Five-year scores by unit and month", _months_table(told_of, fewest), MONTHS_NOTE),
            *_refusals_part(refusals, fewest),
        ),
        cohort.flow,
        {
            "units": len(units),
            "units_judged": len(judged),
            "units_in_alarm": sum(one.is_alarm for one in judged),
            "change_points": sum(map(len, changes.values())),
            "refusal_change_points": len(refused) if refusals else None,
        },
    )


def monthly_spread(exams: pd.DataFrame, fewest: int) -> list[ScoreSpread]:
    """The scores by unit and month, as the store has them of its own exams; quartiles by the nearest rank."""
    device = exams["device"].astype(object).where(exams["device"].notna(), NOT_NAMED)
    month = exams["exam_date"].dt.strftime("%Y-%m")
    grouped = exams["score"].groupby([device.rename("device"), month.rename("month")])
    groups = ((str(unit), str(of_month), scores.to_numpy()) for (unit, of_month), scores in grouped)
    return [_spread(unit, of_month, scores, fewest) for unit, of_month, scores in groups]


def _by_unit(spread: list[ScoreSpread]) -> dict[str, list[ScoreSpread]]:
    """Those with the most exams first."""
    of_unit: defaultdict[str, list[ScoreSpread]] = defaultdict(list)
    for one in spread:
        of_unit[one.device].append(one)
    return dict(sorted(of_unit.items(), key=lambda unit: (-sum(one.exams for one in unit[1]), unit[0])))


def _spread(device: str, month: str, scores: np.ndarray, fewest: int) -> ScoreSpread:
    if len(scores) < fewest:
        return ScoreSpread(device, month, len(scores), None, None, None, None)
    quartiles = np.quantile(scores, [0.25, 0.5, 0.75], method="inverted_cdf")
    return ScoreSpread(device, month, len(scores), float(scores.mean()), *map(float, quartiles))


def _told(spread: list[ScoreSpread], fewest: int) -> list[ScoreSpread]:
    """The same with quartiles of two decimals in per cent, as with more they are a woman's own score.

    And without those of months whose number of exams is not told: they would say that enough are in it.
    """
    hidden = hidden_together(pd.DataFrame({"exams": [one.exams for one in spread]}), fewest)
    return [
        replace(one, mean=None, lower=None, median=None, upper=None) if is_hidden else _rounded(one)
        for one, is_hidden in zip(spread, hidden, strict=True)
    ]


def _rounded(one: ScoreSpread) -> ScoreSpread:
    lower, median, upper = (part and round(part, 4) for part in (one.lower, one.median, one.upper))
    return replace(one, lower=lower, median=median, upper=upper)


def _changes(months: list[ScoreSpread]) -> list[ChangePoint]:
    told_of = [one for one in months if one.median is not None and one.exams >= LEAST_EXAMS]
    medians = [100 * (one.median or 0.0) for one in told_of]
    return change_points([one.month for one in told_of], medians, [100 * error_of_median(one) for one in told_of])


def _refusal_changes(refusals: Sequence[MonthOfRefusals], fewest: int) -> list[ChangePoint]:
    months = [one for one in refusals if one.exams >= LEAST_EXAMS]
    rates = [one.refused / one.exams for one in months]
    errors = [sqrt(rate * (1 - rate) / one.exams) for rate, one in zip(rates, months, strict=True)]
    found = change_points([one.month for one in months], [100 * one for one in rates], [100 * one for one in errors])
    return found if sum(one.refused for one in months) >= fewest else []


def _changes_table(changes: dict[str, list[ChangePoint]]) -> pd.DataFrame:
    rows = [
        (unit, "refused (%)" if unit == ALL_UNITS else "median score (%)", one.month, one.before, one.after)
        for unit, found in changes.items()
        for one in found
    ]
    return pd.DataFrame(rows, columns=["unit", "figure", "from month", "level before", "level after"]).round(2)


def _picture(number: int, unit: str, scale: Scale, months: list[ScoreSpread], found: list[ChangePoint]) -> Picture:
    changed = ", ".join(one.month for one in found) or "none"
    words = f"Line: median of the month. Band: the middle half. Changes of level: {changed}."
    return Picture(f"Scores of {unit}", drift_svg(number, scale, months), words)


def _months_table(spread: list[ScoreSpread], fewest: int) -> pd.DataFrame:
    rows = [(one.device, one.month, one.exams, one.lower, one.median, one.upper) for one in spread]
    table = pd.DataFrame(rows, columns=["unit", "month", "exams", "lower quartile", "median", "upper quartile"])
    # All exams together are in the flow.
    table["exams"] = told_together(table["exams"], hidden_together(table[["exams"]], fewest))
    scores = ["lower quartile", "median", "upper quartile"]
    table[scores] = (100 * table[scores].astype(float)).round(2)
    return table


def _refusals_part(refusals: Sequence[MonthOfRefusals], fewest: int) -> list[Table]:
    if not refusals:
        return []
    counts = pd.DataFrame(
        [(one.month, one.exams, one.refused) for one in refusals], columns=["month", "exams", "refused"]
    )
    counts["scored"] = counts["exams"] - counts["refused"]
    rates = shares(counts["refused"], counts["exams"]).round(2)
    table = pd.concat([counts, rates.set_axis(["refused (%)", "from (%)", "to (%)"], axis=1)], axis=1)
    hidden = hidden_together(counts[["refused", "scored"]], fewest)
    for name in ("refused", "scored"):
        table[name] = told_together(counts[name], hidden)
    others = ["exams", "refused (%)", "from (%)", "to (%)"]
    table[others] = table[others].astype(object).where(~hidden, None)
    return [Table("refusals", "Refused exams by month", table, "Of which unit a refused exam is, is not kept.")]


def _sentences(judged: list[Drift], changes: dict[str, list[ChangePoint]], last: date) -> list[str]:
    alarms = [f"Alarm, {one.device}: {one.words}." for one in judged if one.is_alarm]
    calm = f"No alarm: of {len(judged)} units with enough exams none has left the range of its earlier months."
    nobody = "Nothing can be said of the last months: no unit has enough exams in them and in the months before."
    counted = sum(map(len, changes.values()))
    return [
        f"Exams up to {last}; the last months are judged by the rule of the operator's page.",
        *(alarms or [calm if judged else nobody]),
        f"Over all months {counted} changes of level were found in {len(changes)} units.",
    ]


def _refusal_words(refusals: Sequence[MonthOfRefusals], found: list[ChangePoint]) -> list[str]:
    if not refusals:
        return ["Refused exams are not in a file of scores: the store's own study tells of them."]
    said = ", ".join(f"from {one.before:.1f} to {one.after:.1f} % in {one.month}" for one in found)
    return [f"The share of refused exams changed {said}." if said else "The share of refused exams kept its level."]
