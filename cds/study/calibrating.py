"""A site's own calibrator: straight or stepwise over the logit of the five-year risk, whichever predicts better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from sklearn.isotonic import isotonic_regression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from cds.study.cohorts.landmark import RISK_YEARS
from cds.study.statistics.censoring import Floats, known_weights
from model.site_calibration import Isotonic, Map, Platt, mapped

LEAST_CASES: Final = 100
"""For a line: what an external validation needs at least (Collins et al., Stat Med 2016;35:214)."""
LEAST_CASES_STEPWISE: Final = 200
"""For a curve of any form (Van Calster et al., J Clin Epidemiol 2016;74:167)."""
CASES_IN_A_STEP: Final = 20
_FOLDS = 10
_MOST_STEPS = 20

Fit = Callable[["Known"], Platt | Isotonic | None]


@dataclass(frozen=True)
class Known:
    """The women by `risk` (a fraction), whether they were diagnosed within five years, and how many each stands for."""

    risk: Floats
    is_case: np.ndarray
    weight: Floats

    @classmethod
    def of(cls, women: pd.DataFrame) -> Known:
        """Of a landmark's women; who was lost from sight earlier stands for nobody."""
        is_case = (women["is_case"] & (women["years"] <= RISK_YEARS)).to_numpy()
        weight = known_weights(women["years"], women["is_case"], RISK_YEARS)
        return cls(women["score"].to_numpy(), is_case, weight)

    def part(self, rows: np.ndarray) -> Known:
        """These rows of it."""
        return Known(self.risk[rows], self.is_case[rows], self.weight[rows])

    @property
    def logit(self) -> Floats:
        """Of the risk."""
        inside = np.clip(self.risk, 1e-12, 1 - 1e-12)
        return np.asarray(np.log(inside) - np.log1p(-inside))


def platt(known: Known) -> Platt | None:
    """A line over the logit; None where higher scores do not go with more cancers, or part them wholly."""
    if np.ptp(known.logit) == 0:
        return None
    fitted = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    fitted.fit(known.logit[:, None], known.is_case, sample_weight=known.weight)
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    try:
        return Platt(slope, intercept)
    except ValueError:  # it falls, or is as steep as no women's are
        return None


def isotonic(known: Known) -> Isotonic | None:
    """Knots at groups of women with twenty diagnoses or more each, so that no knot is one woman's; None without two.

    Groups that would fall are pooled into one knot at their middle (centred isotonic regression, Oron and Flournoy
    2017): level stretches would make the same of women whom the model tells apart.
    """
    groups = pd.DataFrame({"logit": known.logit, "is_case": known.is_case, "weight": known.weight})
    groups["step"] = _steps(groups["logit"], known.is_case)
    groups["logit"] *= groups["weight"]
    groups["cases"] = groups["is_case"] * groups["weight"]
    sums = groups.groupby("step")[["logit", "cases", "weight"]].sum()
    shares = (sums["cases"] / sums["weight"]).to_numpy()
    sums["observed"] = isotonic_regression(shares, sample_weight=sums["weight"].to_numpy())
    pooled = sums.groupby("observed")[["logit", "weight"]].sum()
    observed = pooled.index.to_numpy()
    if len(pooled) < 2 or observed[-1] >= 1:
        return None
    return Isotonic(tuple(zip(_plain(pooled["logit"] / pooled["weight"]), _plain(_logit(observed)), strict=True)))


def _logit(share: Floats) -> Floats:
    return np.asarray(np.log(share / (1 - share)))


def _plain(values: pd.Series | Floats) -> list[float]:
    return [float(value) for value in values]


def _steps(logit: pd.Series, is_case: np.ndarray) -> pd.Series:
    """A number for each woman's group: in order, each with enough diagnoses; equal scores are never parted."""
    by_score = pd.Series(is_case.astype(int)).groupby(logit.to_numpy()).sum()
    enough = max(CASES_IN_A_STEP, -(-int(by_score.sum()) // _MOST_STEPS))
    step, gathered, steps = 0, 0, []
    for cases in by_score:
        steps.append(step)
        gathered += cases
        if gathered >= enough:
            step, gathered = step + 1, 0
    # Those over the last full group are too few for one of their own.
    return logit.map(pd.Series(steps, index=by_score.index).clip(upper=max(0, step - 1)))


FITS: Final[dict[str, Fit]] = {"platt": platt, "isotonic": isotonic}


@dataclass(frozen=True)
class Chosen:
    """What was fitted, by name; `log_scores` of each candidate, and of the model as it is, smaller being better.

    `predicted` is each woman's risk from a fit without her. `map` is None where nothing predicts better than
    the model's own risk, by more than chance.
    """

    name: str
    map: Platt | Isotonic | None
    log_scores: dict[str, float]
    predicted: Floats


AS_IT_IS: Final = "as it is"


def choose(known: Known, seed: int) -> Chosen:
    """Fit what predicts best for women whom it was not fitted on (ten folds), by the log score with censoring.

    The simpler stays unless another is better by more than chance.
    """
    names = [name for name in FITS if name == "platt" or known.is_case.sum() >= LEAST_CASES_STEPWISE]
    predicted = {AS_IT_IS: known.risk, **{name: np.full(len(known.risk), np.nan) for name in names}}
    for others, fold in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(known.logit, known.is_case):
        for name in names:
            fitted = FITS[name](known.part(others))
            if fitted is not None:
                predicted[name][fold] = calibrated(fitted, known.risk[fold])
    best = AS_IT_IS
    for name in names:
        if _is_better(known, predicted[name], predicted[best]):
            best = name
    scores = {name: log_score(known, risks) for name, risks in predicted.items()}
    return Chosen(best, None if best == AS_IT_IS else FITS[best](known), scores, predicted[best])


def _is_better(known: Known, one: Floats, simpler: Floats) -> bool:
    """By more than one standard error of the gain: else chance would choose between two that are as good."""
    gains = known.weight * (_losses(known, simpler) - _losses(known, one))
    return bool(gains.mean() > gains.std() / np.sqrt(len(gains)))


def calibrated(over: Map, risks: Floats) -> Floats:
    """Each risk as the service would calibrate it."""
    return np.array([mapped(over, float(risk)) for risk in risks])


def log_score(known: Known, predicted: Floats) -> float:
    """The mean of minus the logarithm of what was given to what came true; not a number where a prediction is none."""
    return float(np.average(_losses(known, predicted), weights=known.weight))


def _losses(known: Known, predicted: Floats) -> Floats:
    inside = np.clip(predicted, 1e-12, 1 - 1e-12)
    return -np.where(known.is_case, np.log(inside), np.log1p(-inside))
