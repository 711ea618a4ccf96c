"""How well the latest score, its change, and both tell apart who is diagnosed, and what a threshold gains."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from cds.errors import StudyNotPossible
from cds.pages.drawing import drawing
from cds.study.calibrating import Known
from cds.study.cohorts.cohort import Cohort
from cds.study.cohorts.landmark import HORIZONS, RISK_YEARS, Landmark, first_with_change
from cds.study.decision_curves import Sides, decision_curve, decision_curve_svg, gain_at, net_benefit
from cds.study.progress import Track
from cds.study.statistics.censoring import Floats
from cds.study.statistics.concordance import C_INDEX, MEASURES, measured, resampled
from cds.study.telling.report import Picture, Report, Table
from cds.study.telling.small_cells import may_be_told, told, told_in_turn
from hooks.case import MriPolicy

LEAST_CASES: Final = 20
"""Ten for each of the two numbers of which both are made (Peduzzi et al., J Clin Epidemiol 1995;48:1503)."""
SCORE, CHANGE, BOTH, GAIN = "score", "change", "both", "both_less_score"
_WORDS: Final = {
    SCORE: "the latest score",
    CHANGE: "the change a year",
    BOTH: "both",
    GAIN: "both minus the latest score alone",
}
_FOLDS = 10


def discrimination_report(
    cohort: Cohort,
    fewest: int,
    track: Track,
    *,
    policy: MriPolicy = MriPolicy(),  # noqa: B008 # frozen: the rule as it is published
    samples: int = 500,
    seed: int = 1,
) -> Report:
    """AUC at one to five years, c-index and decision curve of the first exam with a change."""
    landmark = _enough(first_with_change(cohort), fewest)
    women = landmark.women
    markers = {SCORE: women["score"].to_numpy(), CHANGE: women["change"].to_numpy(), BOTH: combined(women, seed)}
    values = _values(landmark, markers, samples, seed, track, fewest)
    curve = decision_curve(women, policy, fewest)
    gain = _gain(women, policy, gain_at(women, policy, samples, seed, track), fewest)
    return Report(
        "Discrimination: who is diagnosed, and who had the higher score",
        _sentences(values, policy, gain),
        (
            Table("discrimination", "AUC and c-index", _by_words(values), _NOTE, decimals=3),
            Picture("AUC by year", auc_svg(values), "With 95 % intervals of resamples. 0.5 is what chance gives."),
            Table("horizons", "How many were diagnosed and followed", horizons(landmark, fewest), _LOST),
            Picture("Decision curve", decision_curve_svg(curve, policy), _CURVE),
            Table("decision_curve", "Net benefit for each hundred women", curve, _CURVE),
            Table("threshold", f"At the site's threshold: {policy.rule_words}", gain),
        ),
        landmark.flow,
        _figures(values, gain),
    )


_NOTE: Final = (
    "The exam of each woman is her first one nine months or more after the one before: nothing later has a say in "
    "which it is. AUC: of a woman diagnosed within the years and one who was not by then, how often the former had "
    "more; c-index: the same for whoever is diagnosed first, within five years. Both weigh the known for those lost "
    "from sight (Uno 2007, 2011), as if losing sight had nothing to do with risk; deaths are not told apart. Without "
    "a last follow-up that was told nobody counts, and no diagnosis after it, whatever became of her. "
    "Intervals: 95 %, of resamples of the women. Both: a logistic model of the score's logit and of the change, "
    "each woman's value from a fit without her (ten folds); that the fits would vary is not in its interval."
)
_LOST: Final = (
    "Not told: a number from which, with the others, it would follow that a few were diagnosed or lost from sight."
)
_CURVE: Final = (
    "Net benefit at five years (1 - Kaplan-Meier): the flagged who are diagnosed minus those who are not, weighed with "
    "the odds of the threshold. It says what flagging by the score is worth to who finds the threshold right, and not "
    "what breast MRI does for the women flagged. The curve has no interval; at the site's threshold the table has one. "
    "It is straight between the thresholds that may be told: between any two lie no women or cancers, or enough."
)


def _enough(landmark: Landmark, fewest: int) -> Landmark:
    cases, followed = landmark.cases_within(RISK_YEARS), landmark.followed_beyond(RISK_YEARS)
    if cases < max(fewest, LEAST_CASES) or followed < max(fewest, LEAST_CASES):
        raise StudyNotPossible(
            f"{told(cases, fewest)} women were diagnosed within {RISK_YEARS} years of their first exam with a change, "
            f"up to their last follow-up, and {told(followed, fewest)} followed for longer; discrimination needs "
            f"{max(fewest, LEAST_CASES)} of either, or its interval says nothing"
        )
    return landmark


def combined(women: pd.DataFrame, seed: int) -> Floats:
    """What the score's logit and the change are together, for each woman by a logistic fit without her."""
    known = Known.of(women)
    both = np.column_stack([known.logit, women["change"].to_numpy()])
    found = np.empty(len(women))
    for others, fold in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(both, known.is_case):
        centre, spread = both[others].mean(axis=0), both[others].std(axis=0)
        if not spread.all():
            raise StudyNotPossible("all women have the same score, or the same change: there is nothing to tell apart")
        # The library's slight penalty: where score and change part the women wholly, there is no fit without one.
        fit = LogisticRegression(solver="newton-cholesky")
        fit.fit((both[others] - centre) / spread, known.is_case[others], sample_weight=known.weight[others])
        found[fold] = fit.decision_function((both[fold] - centre) / spread)
    return found


def _values(
    landmark: Landmark, markers: dict[str, Floats], samples: int, seed: int, track: Track, fewest: int
) -> pd.DataFrame:
    """`measure`, `marker`, `value`, `low`, `high`; not numbers where too few stand behind them."""
    women = landmark.women
    found = pd.DataFrame({name: measured(women, marker) for name, marker in markers.items()}).T
    spread = resampled(women, markers, samples, seed, track)
    found.loc[GAIN] = found.loc[BOTH] - found.loc[SCORE]
    spread[GAIN] = spread[BOTH] - spread[SCORE]
    rows = []
    for measure in MEASURES:
        within = RISK_YEARS if measure == C_INDEX else int(measure.removeprefix("auc_"))
        beyond = 0 if measure == C_INDEX else within
        few = landmark.cases_within(within) < fewest or landmark.followed_beyond(beyond) < fewest
        for name in (*markers, GAIN):
            low, high = (np.nan, np.nan) if few else np.nanquantile(spread[name][measure], [0.025, 0.975])
            rows.append((measure, name, np.nan if few else found.loc[name, measure], low, high))
    return pd.DataFrame(rows, columns=["measure", "marker", "value", "low", "high"])


def _by_words(values: pd.DataFrame) -> pd.DataFrame:
    of = {**{f"auc_{year}": f"AUC, {year} year{'s' if year > 1 else ''}" for year in HORIZONS}, C_INDEX: "c-index"}
    return values.assign(measure=values["measure"].map(of), marker=values["marker"].map(_WORDS))


def horizons(landmark: Landmark, fewest: int) -> pd.DataFrame:
    """By year how many were diagnosed and how many followed for longer, where that tells of no few, nor of few lost."""
    cases = [landmark.cases_within(year) for year in HORIZONS]
    beyond = [landmark.followed_beyond(year) for year in HORIZONS]
    women = len(landmark.women)
    lost = [women - case - longer for case, longer in zip(cases, beyond, strict=True)]
    columns = {"diagnosed within them": told_in_turn(0, cases, fewest)}
    columns["followed longer"] = [
        words if may else "not told"
        for words, may in zip(told_in_turn(women, beyond, fewest), may_be_told(0, lost, fewest), strict=True)
    ]
    return pd.DataFrame({"years": HORIZONS, **columns})


def _gain(women: pd.DataFrame, policy: MriPolicy, spread: pd.DataFrame, fewest: int) -> pd.DataFrame:
    score, everybody = net_benefit(women, policy.threshold, policy.comparator)
    found = {"score": 100 * score, "more_than_all": 100 * (score - everybody)}
    words = {"score": "flagging by the score", "more_than_all": "that minus flagging everybody"}
    if not Sides.of(women).may_be_told(policy, fewest) or np.isnan(score):
        found, spread = dict.fromkeys(found, np.nan), pd.DataFrame({name: [0.0] for name in found}) * np.nan
    rows = [(words[name], found[name], *spread[name].quantile([0.025, 0.975])) for name in words]
    return pd.DataFrame(rows, columns=["net benefit for 100 women", "value", "low", "high"])


def _sentences(values: pd.DataFrame, policy: MriPolicy, gain: pd.DataFrame) -> tuple[str, ...]:
    five = partial(_said, values, f"auc_{RISK_YEARS}")
    return (
        f"Five-year AUC: {five(SCORE)} for the latest score, {five(CHANGE)} for its change a year, {five(BOTH)} for "
        f"both; the c-index of the score is {_said(values, C_INDEX, SCORE)}. Both minus the score alone: {five(GAIN)}.",
        f"Net benefit for 100 women of flagging who is {policy.rule_words}: {_with_interval(gain, 0)}; minus "
        f"that of flagging everybody: {_with_interval(gain, 1)}.",
        "This looks back on women who were screened here. It is not prospective, no threshold for a change comes out "
        "of it, and cancers that the exam itself already showed are among those counted, above all in the first year.",
    )


def _said(values: pd.DataFrame, measure: str, marker: str) -> str:
    row = values[(values["measure"] == measure) & (values["marker"] == marker)]
    value, low, high = row[["value", "low", "high"]].to_numpy(float)[0]
    return "not told (too few)" if np.isnan(value) else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _with_interval(gain: pd.DataFrame, row: int) -> str:
    value, low, high = gain[["value", "low", "high"]].to_numpy(float)[row]
    return "not told (too few)" if np.isnan(value) else f"{value:.2f} ({low:.2f} to {high:.2f})"


def _figures(values: pd.DataFrame, gain: pd.DataFrame) -> dict[str, float | int | str | None]:
    names = values["measure"] + "_" + values["marker"]
    ends = {"value": "", "low": "_low", "high": "_high"}
    found = {name + end: value for of, end in ends.items() for name, value in zip(names, values[of], strict=True)}
    found["net_benefit_at_threshold"], found["net_benefit_more_than_all"] = gain["value"]
    return {name: None if np.isnan(value) else round(float(value), 4) for name, value in found.items()}


def auc_svg(values: pd.DataFrame) -> str:
    """The AUC of each marker by year, with its interval."""
    looks = {SCORE: ("#1f5f8b", "o"), CHANGE: ("#b5651d", "s"), BOTH: ("#3d7a4a", "^")}

    def draw(axes: Axes) -> None:
        for place, (name, (colour, mark)) in enumerate(looks.items()):
            of = values[(values["marker"] == name) & (values["measure"] != C_INDEX)]
            ends = (of["value"] - of["low"]).clip(lower=0), (of["high"] - of["value"]).clip(lower=0)
            years = np.asarray(HORIZONS) + 0.12 * (place - 1)
            axes.errorbar(
                years, of["value"], yerr=np.vstack(ends), fmt=mark, color=colour, label=_WORDS[name], markersize=4
            )
        axes.axhline(0.5, color="#8a949c", linewidth=0.8, linestyle=":")
        axes.set(xticks=HORIZONS, xlabel="years after the exam", ylabel="AUC")
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(looks))

    return drawing("auc by year", 6.4, 3.4, draw)
