"""Linear mixed-effects models of scores over years, in which each woman has her own level and her own slope.

statsmodels' MixedLM fits the same models, woman by woman in Python: too slow for the study's 53,197 cancer-free women
(docs/studies.md has the times). The likelihood needs only sums of products of each woman's exams, which are made once;
then each of its values is a handful of operations on arrays. The tests hold the result against MixedLM and R's lme4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import norm

Floats = NDArray[np.float64]

CONFIDENCE: Final = 0.95
_START: Final = (1.0, 0.0, 1.0)
_MOST: Final = 1e3
_BOUNDS: Final = 3 * ((-_MOST, _MOST),)
"""Women who differ by more than a thousand residuals have no residual: such scores are not fitted.

The sign of a factor's diagonal means nothing. A bound at zero, where the deviance is even in it and so always flat,
would catch the search in a place that is no minimum.
"""
_FLAT: Final = 1e-5
"""A deviance that changes by less than this for each exam is at its least."""
_SINGULAR: Final = 1e-4
"""Under this part of the residual's, a variance is none."""


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval, from the normal distribution of large samples (Wald)."""

    value: float
    error: float

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return self.value - self.error * float(norm.ppf((1 + CONFIDENCE) / 2))

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return self.value + self.error * float(norm.ppf((1 + CONFIDENCE) / 2))

    def minus(self, other: Estimate) -> Estimate:
        """The difference from an estimate that other women gave."""
        return Estimate(self.value - other.value, float(np.hypot(self.error, other.error)))


@dataclass(frozen=True)
class Fitted:
    """A model that was fitted by restricted maximum likelihood (REML).

    `coefficients` are those of the fixed columns, `covariance` theirs; `spread` is the covariance of the women's own
    intercepts and slopes, `residual_sd` what is left from exam to exam. `converged` is False where the search for the
    maximum ended without finding it: then no number of it is to be told as a result.
    """

    coefficients: Floats
    covariance: Floats
    spread: Floats
    residual_sd: float
    deviance: float
    converged: bool

    def estimate(self, *weights: float) -> Estimate:
        """A weighted sum of the coefficients, such as one of them or the difference of two."""
        w = np.array(weights)
        return Estimate(float(w @ self.coefficients), float(np.sqrt(w @ self.covariance @ w)))

    @property
    def is_singular(self) -> bool:
        """Whether the spread is on the edge of what it may be: no own slopes, or slopes that follow from the levels."""
        return float(np.linalg.eigvalsh(self.spread)[0]) < _SINGULAR * self.residual_sd**2


def fit(fixed: Floats, years: Floats, scores: Floats, women: NDArray[np.integer[Any]]) -> Fitted:
    """The model scores = fixed columns + each woman's own intercept and slope over the years + residual.

    A row an exam; `fixed` is (exams, p) and has its own column of ones.
    """
    products = _products(fixed, years, scores, women)
    # Scores without any spread have no likelihood: what is not finite then has not converged.
    with np.errstate(divide="ignore", invalid="ignore"):
        found = minimize(
            lambda theta: _profile(products, theta).deviance_and_gradient,
            _START,
            jac=True,
            method="L-BFGS-B",
            bounds=_BOUNDS,
            options={"ftol": 1e-12, "gtol": 1e-3 * _FLAT * len(scores)},
        )
        best, factor = _profile(products, found.x), _factor(found.x)
    return Fitted(
        best.coefficients,
        best.variance * best.inverse,
        best.variance * factor @ factor.T,
        float(np.sqrt(max(best.variance, 0.0))),
        best.deviance_and_gradient[0],
        # The search's own word depends on how it was stopped.
        bool(np.abs(best.deviance_and_gradient[1]).max() <= _FLAT * len(scores)),
    )


@dataclass(frozen=True)
class _Products:
    """What the likelihood needs: `own` (women, 2, 2), `shared` (women, 2, p + 1) and `total` (p + 1, p + 1).

    They are Z'Z, Z'[X y] and [X y]'[X y], where Z is a woman's ones and years, X her fixed columns, y her scores.
    """

    own: Floats
    shared: Floats
    total: Floats
    exams: int


def _products(fixed: Floats, years: Floats, scores: Floats, women: NDArray[np.integer[Any]]) -> _Products:
    order = np.argsort(women, kind="stable")
    starts = np.flatnonzero(np.diff(women[order], prepend=women[order[0]] - 1))
    own = np.column_stack([np.ones_like(years), years])[order]
    shared = np.column_stack([fixed, scores])[order]
    return _Products(
        np.add.reduceat(own[:, :, None] * own[:, None, :], starts),
        np.add.reduceat(own[:, :, None] * shared[:, None, :], starts),
        shared.T @ shared,
        len(scores),
    )


def _factor(theta: Floats) -> Floats:
    """The Cholesky factor of the women's spread, in units of the residual's standard deviation."""
    return np.array([[theta[0], 0.0], [theta[1], theta[2]]])


@dataclass(frozen=True)
class _Profile:
    """The REML deviance where only the spread is free, with the coefficients and the variance that go with it."""

    deviance_and_gradient: tuple[float, Floats]
    coefficients: Floats
    inverse: Floats
    variance: float


def _profile(products: _Products, theta: Floats) -> _Profile:
    """Bates, Maechler, Bolker and Walker 2015, doi 10.18637/jss.v067.i01, equations 39 to 42, and their derivative.

    The covariance of a woman's exams is V = I + Z S Z' in units of the residual's variance. Its inverse and its
    determinant need no more than T = (I + Z'Z S)^-1, which is 2 x 2: Z' V^-1 = T Z', and V^-1 = I - Z S T Z'.
    """
    spread = _factor(theta) @ _factor(theta).T
    inner = np.eye(2) + products.own @ spread
    turned = np.linalg.inv(inner)
    weighed = turned @ products.shared
    size = len(products.total)
    crossed = products.total - products.shared.reshape(-1, size).T @ (spread @ weighed).reshape(-1, size)
    inverse = np.linalg.inv(crossed[:-1, :-1])
    coefficients = inverse @ crossed[:-1, -1]
    free = products.exams - size + 1
    variance = float(crossed[-1, -1] - crossed[-1, :-1] @ coefficients) / free
    determinants = np.log(np.linalg.det(inner)).sum() - np.linalg.slogdet(inverse)[1]
    deviance = float(determinants + free * (1 + np.log(2 * np.pi * variance)))
    # How each part of the deviance moves with the spread; the coefficients are at their best, so they do not count.
    pairs = (weighed.reshape(-1, 2 * size).T @ weighed.reshape(-1, 2 * size)).reshape(2, size, 2, size)
    residual = np.append(-coefficients, 1.0)
    by_inverse = np.zeros((size, size))
    by_inverse[:-1, :-1] = inverse
    by_spread = (turned @ products.own).sum(axis=0) - np.einsum(
        "kilj,ij->kl", pairs, by_inverse + np.outer(residual, residual) / variance
    )
    by_factor = 2 * by_spread @ _factor(theta)
    gradient = np.array([by_factor[0, 0], by_factor[1, 0], by_factor[1, 1]])
    return _Profile((deviance, gradient), coefficients, np.asarray(inverse, dtype=np.float64), variance)
