from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from cds.study.cohorts.landmark import first_exams
from cds.study.decision_curves import THRESHOLDS, Sides, decision_curve, decision_curve_svg, gain_at, net_benefit
from cds.study.progress import silently
from hooks.case import Comparator, MriPolicy
from tests.cds.study.landmarks import cohort_by_chance

TEN = pd.DataFrame(
    {"score": [0.01, 0.02, 0.03, 0.04, 0.05] * 2, "years": [6.0] * 5 + [2.0] * 5, "is_case": [False] * 5 + [True] * 5}
)
"""Nobody is lost; each score once with a diagnosis and once without."""


def test_without_censoring_net_benefit_is_true_less_weighed_false_positives() -> None:
    score, everybody = net_benefit(TEN, 0.025, Comparator.OVER)
    odds = 0.025 / 0.975
    assert score == pytest.approx((3 - 3 * odds) / 10)
    assert everybody == pytest.approx((5 - 5 * odds) / 10)


def test_the_comparator_decides_of_a_score_on_the_threshold() -> None:
    odds = 0.03 / 0.97
    assert net_benefit(TEN, 0.03, Comparator.OVER)[0] == pytest.approx((2 - 2 * odds) / 10)
    assert net_benefit(TEN, 0.03, Comparator.AT_LEAST)[0] == pytest.approx((3 - 3 * odds) / 10)


def test_nobody_flagged_gains_nothing() -> None:
    assert net_benefit(TEN, 0.09, Comparator.OVER)[0] == 0.0


def test_a_woman_drawn_twice_counts_twice() -> None:
    times = np.array([2, 1, 1, 1, 1, 1, 0, 1, 1, 3])
    drawn = TEN.loc[TEN.index.repeat(times)]
    assert net_benefit(TEN, 0.025, Comparator.OVER, times) == pytest.approx(net_benefit(drawn, 0.025, Comparator.OVER))


def test_the_curve_is_told_only_where_no_small_group_lies_on_a_side_or_between() -> None:
    women = first_exams(cohort_by_chance(1, 400, risk=0.03)).women
    curve = decision_curve(women, MriPolicy(), 20)
    assert len(curve) == len(THRESHOLDS)
    flagged = (curve["flagged_percent"].dropna() * len(women) / 100).round().astype(int)
    steps = -flagged.diff().dropna()
    assert ((steps == 0) | (steps >= 20)).all()
    assert flagged[flagged > 0].min() >= 20
    assert (curve["score"].isna() == curve["flagged_percent"].isna()).all()
    assert curve["score"].isna().any()


def test_the_gain_scatters_about_what_was_found() -> None:
    women = first_exams(cohort_by_chance(2, 1500, risk=0.03)).women
    policy = MriPolicy(threshold=0.03)
    spread = gain_at(women, policy, 60, 1, silently)
    score, everybody = net_benefit(women, 0.03, policy.comparator)
    assert spread["score"].mean() == pytest.approx(100 * score, abs=0.2)
    assert spread["more_than_all"].mean() == pytest.approx(100 * (score - everybody), abs=0.2)


def test_the_drawing_marks_the_site_s_threshold() -> None:
    women = first_exams(cohort_by_chance(1, 400, risk=0.03)).women
    svg = decision_curve_svg(decision_curve(women, MriPolicy(), 11), MriPolicy())
    assert "the site's threshold" in svg or "the site&#39;s threshold" in svg


def test_no_few_cancers_follow_from_two_thresholds_nor_from_the_site_s() -> None:
    women, fewest = first_exams(cohort_by_chance(2, 3000, risk=0.03)).women, 11
    policy = MriPolicy(threshold=0.0215)
    told = decision_curve(women, policy, fewest).dropna(subset="score")["threshold_percent"] / 100
    early = women[women["is_case"] & (women["years"] <= 5)]
    for one in (women, early):
        flagged = [int((one["score"] > threshold).sum()) for threshold in sorted([*told, policy.threshold])]
        steps = {before - after for before, after in pairwise([len(one), *flagged, 0])}
        assert all(step == 0 or step >= fewest for step in steps)
    assert len(told) > 5


def test_a_threshold_over_which_a_few_cancers_lie_tells_no_net_benefit() -> None:
    assert not Sides.of(TEN).may_be_told(MriPolicy(threshold=0.025), 3)
    assert Sides.of(TEN).may_be_told(MriPolicy(threshold=0.025), 1)
