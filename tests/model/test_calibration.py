from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration import PUBLISHED_MIRAI, Calibration
from tests.model.golden_rules import GOLDEN


@pytest.mark.parametrize("exam", ["small_256x208_heads8", "full_2048x1664_heads8"])
def test_the_published_curve_gives_the_original_s_calibrated_risks(exam: str) -> None:
    expected = GOLDEN[exam]["calibrated_float64"]
    assert PUBLISHED_MIRAI.risks(GOLDEN[exam]["probs"]) == pytest.approx(expected, abs=1e-12)


def test_the_curve_has_the_numbers_of_the_published_calibrator() -> None:
    published = [(year["a"], year["b"]) for year in GOLDEN["calibrators"]]
    curves = zip(PUBLISHED_MIRAI.slopes, PUBLISHED_MIRAI.intercepts, strict=True)
    for (a, b), (slope, intercept) in zip(published, curves, strict=True):
        assert (slope, intercept) == pytest.approx((a, b), abs=1e-13)


def test_the_published_five_year_risk_lies_between_0_835_and_29_48_percent() -> None:
    assert PUBLISHED_MIRAI.risks([0.0] * 5)[-1] == pytest.approx(0.00835, abs=5e-6)
    assert PUBLISHED_MIRAI.risks([1.0] * 5)[-1] == pytest.approx(0.2948, abs=5e-5)


@given(low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_higher_raw_probability_never_gives_a_lower_risk(low: float, high: float) -> None:
    low, high = sorted((low, high))
    for lower, higher in zip(PUBLISHED_MIRAI.risks([low] * 5), PUBLISHED_MIRAI.risks([high] * 5), strict=True):
        assert lower <= higher


def test_the_logistic_curve_is_of_the_probability_and_not_of_its_logit() -> None:
    curve = Calibration("test", (2.0,) * 5, (-3.0,) * 5)
    assert curve.risks([0.25] * 5) == pytest.approx((1 / (1 + math.exp(2.5)),) * 5)


@pytest.mark.parametrize(
    ("slopes", "intercepts"),
    [((1.0,) * 4, (0.0,) * 5), ((1.0,) * 5, (0.0,) * 6), ((math.nan,) * 5, (0.0,) * 5), ((1.0,) * 5, (1e4,) * 5)],
)
def test_curves_that_are_missing_or_not_finite_are_refused(
    slopes: tuple[float, ...], intercepts: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="a calibration needs"):
        Calibration("test", slopes, intercepts)


@pytest.mark.parametrize("slope", [0.0, -5.0])
def test_a_curve_that_does_not_rise_is_refused(slope: float) -> None:
    with pytest.raises(ValueError, match="slopes over 0"):
        Calibration("test", (1.0, 1.0, slope, 1.0, 1.0), (0.0,) * 5)


def test_four_raw_risks_are_refused_rather_than_padded() -> None:
    with pytest.raises(ValueError, match="zip"):
        PUBLISHED_MIRAI.risks([0.1] * 4)


@given(raw=st.lists(st.floats(0, 1), min_size=5, max_size=5).map(sorted))
def test_the_published_curves_never_cross_so_nothing_of_them_is_moved(raw: list[float]) -> None:
    curves = zip(PUBLISHED_MIRAI.slopes, PUBLISHED_MIRAI.intercepts, raw, strict=True)
    assert PUBLISHED_MIRAI.risks(raw) == tuple(1 / (1 + math.exp(-(a * p + b))) for a, b, p in curves)


def test_where_curves_cross_the_earlier_year_gives_way_and_the_fifth_stays() -> None:
    crossing = Calibration("test", (9.0, 1.0, 1.0, 1.0, 1.0), (-3.0, -3.0, -3.0, -3.0, -3.0))
    risks = crossing.risks([0.9] * 5)
    assert risks == (1 / (1 + math.exp(2.1)),) * 5


def test_edited_curves_under_an_old_name_are_another_calibration() -> None:
    one, edited = Calibration("v1", (1.0,) * 5, (0.0,) * 5), Calibration("v1", (1.0,) * 5, (0.1,) * 5)
    assert one.identity != edited.identity
    assert one.identity == Calibration("v1", (1.0,) * 5, (0.0,) * 5).identity
