"""The mixed-effects models, held against R's lme4 and statsmodels' MixedLM."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.regression.mixed_linear_model import MixedLM

from cds.study.statistics.mixed_models import Estimate, Fitted, Floats, fit
from tests.cds.study.simulations import cancer_free

LME4 = {
    1: {
        "coefficients": (3.56938247180, 0.86430957144),
        "errors": (0.09160448191, 0.04930589744),
        "spread": (0.76673055763, -0.05181325936, 0.17340372977),
        "residual": 0.59129694442,
        "deviance": 1286.88190045574,
    },
    2: {
        "coefficients": (3.53713834955, 0.91458318578, 0.81938184230),
        "errors": (0.09455526239, 0.06196706780, 0.05970395695),
        "spread": (0.76258028252, -0.05279986908, 0.17305367003),
        "residual": 0.59113305864,
        "deviance": 1288.54509262152,
    },
}
"""By lme4.R in this folder, by the number of slopes: R 4.2.2 with lme4 1.1-31."""


def part(n: pd.Series) -> pd.Series:
    """What looks like chance, and is the same in R."""
    found: pd.Series = (np.sin(n * 12.9898) * 43758.5453) % 1
    return found


def exams() -> pd.DataFrame:
    """120 women with one to seven exams, as in lme4.R."""
    table = pd.DataFrame([(woman, before) for woman in range(1, 121) for before in range(woman % 7 + 1)])
    woman, before = table[0], table[1]
    n = 100 * woman + before
    years = -before - (0.2 * part(n)).where(before > 0, 0)
    level, slope = 2 + 3 * part(10_000 + woman), 0.8 + 1.5 * (part(20_000 + woman) - 0.5)
    return pd.DataFrame(
        {"woman": woman, "years": years, "percent": level + slope * years + 2 * (part(30_000 + n) - 0.5)}
    )


def fixed(years: Floats, slopes: int) -> Floats:
    one = np.ones_like(years)
    return np.column_stack([one, years] if slopes == 1 else [one, np.minimum(years + 2, 0), np.maximum(years, -2)])


def fitted(table: pd.DataFrame, slopes: int = 1) -> Fitted:
    years = table["years"].to_numpy()
    return fit(fixed(years, slopes), years, table["percent"].to_numpy(), table["woman"].to_numpy())


@pytest.mark.parametrize("slopes", [1, 2])
def test_it_gives_what_lme4_gives(slopes: int) -> None:
    found, theirs = fitted(exams(), slopes), LME4[slopes]

    assert found.converged
    assert found.coefficients == pytest.approx(theirs["coefficients"], rel=1e-6)
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(theirs["errors"], rel=1e-5)
    assert found.spread[[0, 0, 1], [0, 1, 1]] == pytest.approx(theirs["spread"], rel=1e-4)
    assert found.residual_sd == pytest.approx(theirs["residual"], rel=1e-5)
    assert found.deviance == pytest.approx(theirs["deviance"], abs=1e-6)


def test_it_gives_what_statsmodels_gives() -> None:
    table = exams()
    columns = fixed(table["years"].to_numpy(), 1)
    theirs = MixedLM(table["percent"].to_numpy(), columns, table["woman"].to_numpy(), exog_re=columns).fit()

    found = fitted(table)

    assert found.coefficients == pytest.approx(theirs.fe_params, rel=1e-4)
    assert found.spread == pytest.approx(theirs.cov_re, rel=1e-2)
    assert found.residual_sd**2 == pytest.approx(theirs.scale, rel=1e-3)
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(theirs.bse_fe, rel=1e-2)


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False), st.floats(-3, 3), st.floats(0.1, 10))
def test_the_order_of_rows_changes_nothing_and_units_only_the_units(chance: object, shift: float, unit: float) -> None:
    table = exams()
    other = table.assign(percent=unit * (table["percent"] + shift * table["years"])).sample(
        frac=1,
        random_state=chance.randrange(2**32),  # type: ignore[attr-defined] # hypothesis tells no type of it
    )

    one, two = fitted(table).estimate(0, 1), fitted(other).estimate(0, 1)

    assert two.value == pytest.approx(unit * (one.value + shift), rel=1e-4, abs=1e-4 * unit)
    assert two.error == pytest.approx(unit * one.error, rel=1e-4)


def test_scores_without_any_chance_in_them_have_not_converged() -> None:
    assert not fitted(exams().assign(percent=2.0)).converged
    table = exams()
    assert not fitted(table.assign(percent=2 + 0.5 * table["years"] + table["woman"])).converged


def test_one_slope_of_all_women_is_a_singular_fit() -> None:
    table = exams()
    noise = part(30_000 + table["woman"] * 100 + table.groupby("woman").cumcount()) - 0.5

    assert fitted(table.assign(percent=2 + noise)).is_singular
    assert not fitted(table).is_singular


def test_the_search_is_not_caught_where_the_deviance_is_flat_but_not_least() -> None:
    # With bounds at zero the spread of slopes of this set ended there, at a deviance 97 too high.
    table = cancer_free(seed=0)
    years, scores, women = (table[name].to_numpy() for name in ("years", "percent", "patient"))

    found = fit(fixed(years, 1), years, scores, women)

    assert (found.converged, found.is_singular) == (True, False)


def test_an_interval_is_19_of_20_of_a_large_sample_and_a_difference_has_the_chance_of_both() -> None:
    one, other = Estimate(1.0, 0.3), Estimate(0.4, 0.4)

    assert (one.low, one.high) == pytest.approx((1 - 0.588, 1 + 0.588), abs=1e-3)
    assert (one.minus(other).value, one.minus(other).error) == pytest.approx((0.6, 0.5))
