"""Whether the risks that were predicted came true, and a calibrator where they did not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.stats import norm

from cds.errors import StudyNotPossible
from cds.pages.drawing import drawing
from cds.study.calibrating import AS_IT_IS, LEAST_CASES, LEAST_CASES_STEPWISE, Chosen, Known, calibrated, choose
from cds.study.cohorts.cohort import SIMULATED, Cohort
from cds.study.cohorts.landmark import RISK_YEARS, Landmark, first_exams
from cds.study.statistics.censoring import Floats, observed
from cds.study.telling.report import Picture, Report, Table
from cds.study.telling.small_cells import told, told_in_turn
from model.card import DEMO_MODEL, read_card
from model.site_calibration import Isotonic, Platt, SiteCalibration

MOST_GROUPS: Final = 10
Fact = str | int | float


@dataclass(frozen=True)
class Calibration:
    """What the study found: its report, and the calibrator with what it was fitted on, or why there is none."""

    report: Report
    map: Platt | Isotonic | None
    fitted: dict[str, Fact]
    refusal: str = ""
    is_simulated: bool = False

    def for_model(self, version: str, model: str, by: str, on: date) -> SiteCalibration:
        """The calibrator under a name, for the model with this key; raises StudyNotPossible where none was fitted.

        Nor may one of women who do not exist be for another model than the demo's, which scores no patient.
        """
        if self.is_simulated and model != read_card(DEMO_MODEL).version.key:
            raise StudyNotPossible(
                "No calibrator is written: nobody is in this cohort, which is simulated, so that nothing is known of "
                f"the model. To try it, name the demo's by --for-model {DEMO_MODEL.name}"
            )
        if self.map is None:
            raise StudyNotPossible(self.refusal)
        return SiteCalibration(version, model, self.map, {**self.fitted, "by": by, "on": on.isoformat()})


def study_calibration(cohort: Cohort, fewest: int, *, seed: int = 1) -> Calibration:
    """Expected over observed at five years, in all and by group of risk, and a calibrator with what it would change.

    Raises StudyNotPossible with too few for a report.
    """
    landmark = first_exams(cohort)
    women, cases = landmark.women, landmark.cases_within(RISK_YEARS)
    _require_enough(landmark, fewest)
    refusal, chosen = _refusal(cases, fewest), None
    if not refusal:
        chosen = choose(Known.of(women), seed)
        refusal = "" if chosen.map else _NOTHING_BETTER
    ratios = {"before": _expected_over_observed(women, women["score"])}
    if chosen and chosen.map:
        ratios["after"] = _expected_over_observed(women, chosen.predicted)
        refusal = _still_off(*ratios["after"])
        chosen = replace(chosen, map=None) if refusal else chosen
    groups = _by_group(women, fewest)
    report = Report(
        "Calibration: whether the predicted five-year risks came true",
        _sentences(landmark, ratios, chosen, refusal),
        tuple(_parts(landmark, ratios, groups, chosen, fewest)),
        landmark.flow,
        _figures(landmark, ratios, chosen),
    )
    facts = _facts(landmark, ratios, chosen)
    if cohort.is_simulated:
        facts["cohort"] = SIMULATED
    return Calibration(report, chosen.map if chosen else None, facts, refusal, cohort.is_simulated)


_NOTHING_BETTER: Final = (
    "No calibrator is offered: none predicts better here than the model's own risk, by more than chance."
)


def _require_enough(landmark: Landmark, fewest: int) -> None:
    cases, followed = landmark.cases_within(RISK_YEARS), landmark.followed_beyond(RISK_YEARS)
    if cases < fewest or followed < fewest:
        raise StudyNotPossible(
            f"{told(cases, fewest)} women were diagnosed within {RISK_YEARS} years of their first exam, up to their "
            f"last follow-up, and {told(followed, fewest)} followed for longer: expected over observed needs {fewest} "
            "of either"
        )


def _refusal(cases: int, fewest: int) -> str:
    if cases >= LEAST_CASES:
        return ""
    return (
        f"No calibrator is fitted: {told(cases, fewest)} women were diagnosed within {RISK_YEARS} years, and it needs "
        f"{LEAST_CASES} ({LEAST_CASES_STEPWISE} to choose between a line and steps), or it would fit chance"
    )


def _still_off(ratio: float, low: float, high: float) -> str:
    """Why a calibrator is not offered that does not put right what it is for; nothing where it may do."""
    if low <= 1 <= high:
        return ""
    return (
        "No calibrator is offered: for women whom it had not seen, expected over observed would be "
        f"{ratio:.2f} ({low:.2f} to {high:.2f}) and not 1, as those lost from sight have other scores than those who "
        "stay. Look at last_follow_up first"
    )


def _expected_over_observed(women: pd.DataFrame, predicted: Floats | pd.Series) -> tuple[float, float, float]:
    """The ratio with its 95 % interval: of the observed share's logarithm, taking the expected as it is."""
    found = observed(women["years"], women["is_case"], RISK_YEARS)
    ratio = float(np.mean(predicted)) / found.share
    width = np.exp(norm.ppf(0.975) * found.error / found.share)
    return ratio, float(ratio / width), float(ratio * width)


def _by_group(women: pd.DataFrame, fewest: int) -> pd.DataFrame:
    """Groups of risk, of equal size, as many up to ten as have `fewest` diagnoses each; empty where two have not.

    One group that is hidden could be had from the others and the whole, so there are fewer groups instead.
    """
    for groups in range(MOST_GROUPS, 1, -1):
        part = pd.qcut(women["score"], groups, labels=False, duplicates="drop")
        early = women["is_case"] & (women["years"] <= RISK_YEARS)
        late = women["years"] > RISK_YEARS
        if part.nunique() > 1 and min(early.groupby(part).sum().min(), late.groupby(part).sum().min()) >= fewest:
            return pd.DataFrame([_group(women[part == number]) for number in sorted(part.unique())])
    return pd.DataFrame()


def _group(women: pd.DataFrame) -> dict[str, float]:
    found = observed(women["years"], women["is_case"], RISK_YEARS)
    low, high = found.interval
    expected = float(women["score"].mean())
    risks = {"expected_percent": expected, "observed_percent": found.share, "low_percent": low, "high_percent": high}
    return {"women": len(women), **{name: 100 * risk for name, risk in risks.items()}, "ratio": expected / found.share}


def _parts(
    landmark: Landmark,
    ratios: dict[str, tuple[float, float, float]],
    groups: pd.DataFrame,
    chosen: Chosen | None,
    fewest: int,
) -> Iterator[Table | Picture]:
    of_all = pd.DataFrame(
        [("in all" if name == "before" else "in all, with the calibrator", *ratio) for name, ratio in ratios.items()],
        columns=["women", "expected over observed", "low", "high"],
    )
    yield Table("expected_over_observed", "Expected over observed at five years", of_all, _NOTE)
    if len(groups):
        yield Picture("Calibration plot", calibration_svg(groups, landmark.women["score"], chosen), _PLOT)
        yield Table("groups", "By group of predicted risk", groups, _GROUPS)
    if chosen:
        word = "chosen" if chosen.map or chosen.name == AS_IT_IS else "best, not offered"
        scores = pd.DataFrame(
            [(name, score, word if name == chosen.name else "") for name, score in chosen.log_scores.items()],
            columns=["calibrator", "log score", "which"],
        )
        yield Table("calibrators", "What predicts best", scores, _CHOICE, decimals=4)
    counts = [landmark.cases_within(RISK_YEARS)]
    words = told_in_turn(0, counts, fewest)
    yield Table("cases", "Diagnoses", pd.DataFrame({"within five years of the first exam": words}))


_NOTE: Final = (
    "Expected: the mean predicted risk at each woman's first exam, which nothing later has a say in. Observed: the "
    "share diagnosed within five years (1 - Kaplan-Meier), as if losing sight had nothing to do with risk; deaths are "
    "not told apart, which makes the observed share a little too high. Over 1: more cancers were predicted than "
    "occurred. With the calibrator: each woman's risk from a fit without her; a ratio whose interval leaves out 1 then "
    "means that those lost from sight have other scores than those who stay, and no calibrator is offered. Without a "
    "last follow-up that was told nobody counts, and no diagnosis after it, whatever became of her."
)
_PLOT: Final = (
    "Observed against predicted five-year risk by group, with 95 % intervals. On the dashed line both are the same."
)
_GROUPS: Final = "Groups of equal size; fewer than ten where a group would else have too few diagnoses to be told."
_CHOICE: Final = (
    "The mean of minus the logarithm of what was predicted for what came true, of women whom the fit had not seen (ten "
    "folds), weighed for who was lost from sight. Smaller is better; what is simpler stays unless another is better "
    "by more than one standard error."
)


def _sentences(
    landmark: Landmark, ratios: dict[str, tuple[float, float, float]], chosen: Chosen | None, refusal: str
) -> tuple[str, ...]:
    ratio, low, high = ratios["before"]
    verdict = (
        "more cancers than occurred"
        if low > 1
        else "fewer cancers than occurred"
        if high < 1
        else "as many cancers as occurred, as far as can be told"
    )
    share = observed(landmark.women["years"], landmark.women["is_case"], RISK_YEARS).share
    first = (
        f"Of the women {100 * share:.2f} % were diagnosed within five years of their first exam; "
        f"{100 * landmark.women['score'].mean():.2f} % were predicted. Expected over observed is {ratio:.2f} "
        f"({low:.2f} to {high:.2f}): the model predicts {verdict}."
    )
    if refusal or chosen is None:
        return (first, refusal)
    after, after_low, after_high = ratios["after"]
    return (
        first,
        f"A calibrator ({chosen.name}) was fitted; for women whom it had not seen, expected over observed becomes "
        f"{after:.2f} ({after_low:.2f} to {after_high:.2f}). It changes no woman's place among the others, so it finds "
        "no more cancers; and the site's threshold flags others than before, so see the impact study first.",
        "It was fitted on the five-year risk and is used for the four years before as well, which are not calibrated "
        "by that. Scores made with it are another class: all exams are scored anew, and no line joins both.",
    )


def _figures(
    landmark: Landmark, ratios: dict[str, tuple[float, float, float]], chosen: Chosen | None
) -> dict[str, float | int | str | None]:
    share = observed(landmark.women["years"], landmark.women["is_case"], RISK_YEARS).share
    found: dict[str, float | int | str | None] = {
        "observed_five_year_percent": round(100 * share, 4),
        "expected_five_year_percent": round(100 * float(landmark.women["score"].mean()), 4),
        "calibrator": chosen.name if chosen and chosen.map else None,
    }
    for name, ratio in ratios.items():
        for end, value in zip(("", "_low", "_high"), ratio, strict=True):
            found[f"expected_over_observed_{name}{end}"] = round(value, 4)
    return found


def _facts(landmark: Landmark, ratios: dict[str, tuple[float, float, float]], chosen: Chosen | None) -> dict[str, Fact]:
    """Counts by tens and days by months: the file goes where the report may not."""
    if chosen is None:
        return {}
    days = landmark.women["exam_date"]
    facts: dict[str, Fact] = {
        "women": _tens(len(landmark.women)),
        "diagnosed_within_five_years": _tens(landmark.cases_within(RISK_YEARS)),
        "first_exams_from": f"{days.min():%Y-%m}",
        "first_exams_to": f"{days.max():%Y-%m}",
        "chosen_by": "log score with censoring weights, ten folds of women",
    }
    return {**facts, **{f"expected_over_observed_{name}": round(ratio[0], 3) for name, ratio in ratios.items()}}


def _tens(count: int) -> int:
    return count // 10 * 10


def calibration_svg(groups: pd.DataFrame, scores: pd.Series, chosen: Chosen | None) -> str:
    """Observed over predicted risk by group, the line on which both are the same, and the calibrator's curve."""
    low, high = groups["low_percent"], groups["high_percent"]
    top = 1.05 * max(groups["expected_percent"].max(), high.max())

    def draw(axes: Axes) -> None:
        axes.plot([0, top], [0, top], color="#8a949c", linewidth=0.9, linestyle="--", gid="same", label="both the same")
        ends = np.vstack([groups["observed_percent"] - low, high - groups["observed_percent"]])
        axes.errorbar(
            groups["expected_percent"],
            groups["observed_percent"],
            yerr=ends,
            fmt="o",
            color="#1f5f8b",
            markersize=4,
            label="groups",
        )
        if chosen and chosen.map:
            # Between the groups' means only: further out there may be a few women, whom the curve would give away.
            risks = np.linspace(groups["expected_percent"].min(), groups["expected_percent"].max(), 100) / 100
            axes.plot(
                100 * risks,
                100 * calibrated(chosen.map, risks),
                color="#b5651d",
                linewidth=1.4,
                gid="calibrator",
                label="with the calibrator",
            )
        axes.set(xlim=(0, top), ylim=(0, top), xlabel="predicted five-year risk (%)", ylabel="observed (%)")
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)

    return drawing("calibration", 5.0, 5.0, draw)
