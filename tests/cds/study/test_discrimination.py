from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from cds.errors import StudyNotPossible
from cds.study.cohorts.cohort import Cohort
from cds.study.cohorts.flow import Flow
from cds.study.cohorts.landmark import Landmark, first_with_change
from cds.study.discrimination import combined, discrimination_report, horizons
from cds.study.progress import silently
from cds.study.telling.report import Picture, Report, Table, write_report
from hooks.case import MriPolicy
from tests.cds.study.builders import ORIGIN, cohort, woman
from tests.cds.study.landmarks import cohort_by_chance


@pytest.fixture(scope="module")
def report() -> Report:
    return discrimination_report(cohort_by_chance(1, 3000, risk=0.04), 11, silently, samples=100)


def test_a_score_that_tells_the_risk_discriminates_and_a_change_by_chance_does_not(report: Report) -> None:
    low, high = (report.figures[f"auc_5_score_{end}"] for end in ("low", "high"))
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert 0.5 < low < high < 0.85
    by_chance = report.figures["c_index_change_low"], report.figures["c_index_change_high"]
    assert isinstance(by_chance[0], float)
    assert isinstance(by_chance[1], float)
    assert by_chance[0] < 0.5 < by_chance[1]


def test_every_figure_lies_in_its_interval(report: Report) -> None:
    (values,) = (part.frame for part in report.parts if isinstance(part, Table) and part.name == "discrimination")
    known = values.dropna()
    assert len(known) > 15
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).all()


def test_the_same_seed_gives_the_same_report(report: Report) -> None:
    again = discrimination_report(cohort_by_chance(1, 3000, risk=0.04), 11, silently, samples=100)
    assert again.figures == report.figures


def test_a_year_with_too_few_diagnoses_is_not_told() -> None:
    few = discrimination_report(cohort_by_chance(3, 900, risk=0.04), 15, silently, samples=100)
    cases = few.parts[2]
    assert isinstance(cases, Table)
    assert cases.frame["diagnosed within them"].iloc[0] == "not told"
    assert few.figures["auc_1_score"] is None
    assert few.figures["auc_5_score"] is not None


def test_too_few_diagnoses_are_refused_with_how_many_are_needed() -> None:
    few = cohort(*[woman(("2010-01-01", 2.0), ("2011-01-01", 3.0), diagnosis="2012-01-01")] * 12)
    with pytest.raises(StudyNotPossible, match=r"^12 women were diagnosed .* needs 20 of either"):
        discrimination_report(few, 11, silently)


def test_scores_that_never_differ_are_refused() -> None:
    women = cohort_by_chance(1, 1500, risk=0.06)
    with pytest.raises(StudyNotPossible, match="nothing to tell apart"):
        discrimination_report(Cohort(women.exams.assign(score=0.03), women.women, women.flow), 11, silently)


def test_both_together_follow_the_score_where_the_change_tells_nothing() -> None:
    women = first_with_change(cohort_by_chance(1, 3000, risk=0.04)).women
    both = combined(women, seed=1)
    assert np.isfinite(both).all()
    assert spearmanr(both, women["score"]).statistic > 0.9


def test_changes_far_beyond_the_others_do_not_upset_what_both_are() -> None:
    women = first_with_change(cohort_by_chance(1, 3000, risk=0.04)).women
    women.loc[women.index[:3], "change"] = [400.0, -300.0, 250.0]
    assert spearmanr(combined(women, seed=1), women["score"]).statistic > 0.9


def test_a_threshold_that_flags_a_handful_has_no_net_benefit_to_tell() -> None:
    policy = MriPolicy(threshold=0.6)
    found = discrimination_report(cohort_by_chance(1, 3000, risk=0.04), 11, silently, policy=policy, samples=100)
    assert found.figures["net_benefit_at_threshold"] in (None, 0.0)
    assert "nan" not in " ".join(found.sentences)


def test_the_report_says_what_it_does_not_show(report: Report, tmp_path: Path) -> None:
    page = write_report(report, tmp_path, 11, ORIGIN).read_text(encoding="utf-8")
    assert "It is not prospective" in page
    assert "no threshold for a change comes out" in page
    curve = pd.read_csv(tmp_path / "decision_curve.csv")
    assert list(curve.columns) == ["threshold_percent", "flagged_percent", "score", "all", "none"]


def test_that_a_few_were_lost_from_sight_does_not_follow_from_those_who_were_not() -> None:
    """60 diagnosed in the second year; of 203 others 3 are followed for less than three years."""
    women = pd.DataFrame({"years": [7.0] * 200 + [2.5] * 3 + [1.5] * 60, "is_case": [False] * 203 + [True] * 60})
    landmark = Landmark(women, Flow(263, 263))

    told = horizons(landmark, 11)

    assert list(told["diagnosed within them"]) == ["0", "60", "60", "60", "60"]
    assert list(told["followed longer"]) == ["263", "203", "not told", "not told", "not told"]


def test_the_markers_are_told_apart_by_more_than_their_colour(report: Report) -> None:
    svg = next(part.svg for part in report.parts if isinstance(part, Picture) and part.title == "AUC by year")
    shape = dict(re.findall(r'<path id="(\w+)" d="([^"]*)"', svg))

    shapes = {
        colour: {shape[name] for name in re.findall(rf'href="#(\w+)"[^>]*fill="{colour}"', svg)}
        for colour in ("#1f5f8b", "#b5651d", "#3d7a4a")
    }

    assert [len(of_marker) for of_marker in shapes.values()] == [1, 1, 1]
    assert len(set.union(*shapes.values())) == 3
