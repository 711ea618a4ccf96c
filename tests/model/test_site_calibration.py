from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration import PUBLISHED_MIRAI
from model.domain import ModelVersion, RiskScore
from model.site_calibration import CalibratedAtSite, Isotonic, Platt, SiteCalibration, mapped

logits = st.floats(-20, 20)
lines = st.builds(Platt, st.floats(0.05, 5), st.floats(-5, 5))


@st.composite
def steps(draw: st.DrawFn) -> Isotonic:
    own = draw(st.lists(logits, min_size=2, max_size=12, unique=True).map(sorted))
    seen = draw(st.lists(logits, min_size=len(own), max_size=len(own)).map(sorted))
    return Isotonic(tuple(zip(own, seen, strict=True)))


maps = lines | steps()
risks = st.floats(0, 1)


def at_site(over: Platt | Isotonic) -> CalibratedAtSite:
    return CalibratedAtSite(PUBLISHED_MIRAI, SiteCalibration("clinic-2026", "model/key", over))


@given(over=maps, low=risks, high=risks)
def test_two_women_never_change_places_and_a_risk_stays_one(over: Platt | Isotonic, low: float, high: float) -> None:
    low, high = sorted((low, high))
    # A unit in the last place is what the logarithm and the exponential themselves may err by.
    assert 0 <= mapped(over, low) <= mapped(over, high) + 1e-15 <= 1 + 1e-15


@given(over=maps, raw=st.lists(risks, min_size=5, max_size=5).map(sorted))
def test_no_year_s_risk_is_over_the_next_one_s(over: Platt | Isotonic, raw: list[float]) -> None:
    found = at_site(over).risks(raw)
    RiskScore(found, tuple(raw), ModelVersion("m", "w", "p", "c"))
    assert found[-1] == mapped(over, PUBLISHED_MIRAI.risks(raw)[-1])


def test_a_line_that_changes_nothing_gives_the_model_s_own_risks() -> None:
    raw = [0.1, 0.2, 0.3, 0.4, 0.5]
    assert at_site(Platt(1, 0)).risks(raw) == pytest.approx(PUBLISHED_MIRAI.risks(raw), abs=1e-15)


def test_a_line_is_of_the_logit() -> None:
    assert mapped(Platt(0.5, -1.0), 0.2) == pytest.approx(1 / (1 + math.exp(1 - 0.5 * math.log(0.25))))


def test_steps_go_through_their_knots_and_keep_the_shift_of_the_last_beyond() -> None:
    over = Isotonic(((-4.0, -5.0), (-2.0, -4.0), (0.0, -1.0)))
    assert [over(logit) for logit in (-6.0, -4.0, -3.0, -2.0, -1.0, 0.0, 2.0)] == [-7, -5, -4.5, -4, -2.5, -1, 1]


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [(0, 0), (1e-300, 0), (-1, 0), (math.nan, 0), (1, math.nan), (math.inf, 0), (1, -math.inf), (1, 51)],
)
def test_a_line_that_falls_or_is_no_line_is_refused(slope: float, intercept: float) -> None:
    with pytest.raises(ValueError, match="slope of a calibration"):
        Platt(slope, intercept)


@pytest.mark.parametrize(
    "knots",
    [
        (),
        ((-4.0, -5.0),),
        ((-4.0, -5.0), (-4.0, -4.0)),
        ((-2.0, -5.0), (-4.0, -4.0)),
        ((-4.0, -4.0), (-2.0, -5.0)),
        ((-4.0, math.nan), (-2.0, -4.0)),
        ((-4.0, -5.0), (math.inf, -4.0)),
        ((-4.0, -5.0), (-2.0, 99.0)),
        ((-4.0, -5.0, -5.0), (-2.0, -4.0)),
        tuple((float(place) / 10, 0.0) for place in range(201)),
    ],
)
def test_knots_that_do_not_rise_or_are_no_numbers_are_refused(knots: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="knots"):
        Isotonic(knots)


def test_another_map_another_model_or_another_name_is_another_calibration() -> None:
    one = SiteCalibration("clinic-2026", "model/key", Platt(1.0, -0.5))
    others = (
        SiteCalibration("clinic-2026", "model/key", Platt(1.0, -0.6)),
        SiteCalibration("clinic-2026", "model/other", Platt(1.0, -0.5)),
        SiteCalibration("clinic-2027", "model/key", Platt(1.0, -0.5)),
    )
    assert len({one.identity, *(other.identity for other in others)}) == 4
    assert one.identity == SiteCalibration("clinic-2026", "model/key", Platt(1.0, -0.5), {"women": 10}).identity


def test_its_identity_holds_both_the_model_s_and_the_site_s() -> None:
    both = at_site(Platt(1.0, -0.5))
    assert both.identity == f"{PUBLISHED_MIRAI.identity}+{both.site.identity}"
    assert both.version == "mirai-v0.8.0+clinic-2026"
