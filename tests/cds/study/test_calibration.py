from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cds.errors import StudyNotPossible
from cds.study.calibration import study_calibration
from cds.study.cohorts.cohort import Cohort
from cds.study.telling.report import Report, Table, write_report
from model.site_calibration import Platt
from tests.cds.study.builders import ORIGIN, cohort, woman
from tests.cds.study.landmarks import cohort_by_chance

ON = date(2026, 11, 25)


@pytest.fixture(scope="module")
def over_told() -> Cohort:
    """The model tells each woman twice her risk, of six in a hundred in the middle."""
    return cohort_by_chance(1, 5000, factor=2.0, risk=0.06)


def table(report: Report, name: str) -> pd.DataFrame:
    return next(part.frame for part in report.parts if isinstance(part, Table) and part.name == name)


def test_expected_over_observed_finds_what_the_model_tells_too_much(over_told: Cohort) -> None:
    figures = study_calibration(over_told, 11).report.figures
    low, high = (figures[f"expected_over_observed_before_{end}"] for end in ("low", "high"))
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert 1.7 < low < 2 < high < 2.4
    after = figures["expected_over_observed_after"]
    assert after == pytest.approx(1.0, abs=0.03)


def test_the_calibrator_halves_the_odds_and_says_what_it_was_fitted_on(over_told: Cohort) -> None:
    found = study_calibration(over_told, 11)
    assert isinstance(found.map, Platt)
    assert found.fitted["women"] == 5000
    cases = found.fitted["diagnosed_within_five_years"]
    assert isinstance(cases, int)
    assert cases % 10 == 0
    assert found.fitted["first_exams_from"] == "2010-01"
    calibration = found.for_model("clinic-2026", "model/key", "N. N.", ON)
    assert (calibration.version, calibration.model) == ("clinic-2026", "model/key")
    assert (calibration.fitted["by"], calibration.fitted["on"]) == ("N. N.", "2026-11-25")


def test_under_a_hundred_diagnoses_there_is_a_ratio_and_no_calibrator_and_it_says_how_many_it_needs() -> None:
    found = study_calibration(cohort_by_chance(2, 1500, risk=0.03), 11)
    assert found.map is None
    assert "expected_over_observed_after" not in found.report.figures
    assert "needs 100 (200 to choose" in found.report.sentences[-1]
    with pytest.raises(StudyNotPossible, match="needs 100"):
        found.for_model("clinic-2026", "model/key", "", ON)


def test_too_few_for_a_ratio_are_refused_without_their_number() -> None:
    ill, well = ({"diagnosis": "2012-01-01"}, {"last_follow_up": "2018-01-01"})
    few = cohort(*[woman(("2010-01-01", 2.0), **ill)] * 7, woman(("2010-01-01", 2.0), **well))
    with pytest.raises(StudyNotPossible, match=r"^under 11 women were diagnosed .* needs 11 of either$"):
        study_calibration(few, 11)


def test_a_calibrator_that_is_still_off_for_women_whom_it_has_not_seen_is_neither_offered_nor_written(
    over_told: Cohort, tmp_path: Path
) -> None:
    """Who has a high score is lost from sight at once, so that those who stay are not like the others."""
    first = over_told.exams.drop_duplicates("patient").set_index("patient")
    soon = first["exam_date"] + pd.Timedelta(days=30)
    until = over_told.women["last_follow_up"].where(first["score"] < first["score"].quantile(0.6), soon)

    found = study_calibration(replace(over_told, women=over_told.women.assign(last_follow_up=until)), 11)

    low = found.report.figures["expected_over_observed_after_low"]
    assert isinstance(low, float)
    assert low > 1
    assert (found.map, found.report.figures["calibrator"]) == (None, None)
    assert "best, not offered" in set(table(found.report, "calibrators")["which"])
    assert 'gid="calibrator"' not in write_report(found.report, tmp_path, 11, ORIGIN).read_text(encoding="utf-8")
    assert found.report.sentences[-1].startswith("No calibrator is offered: for women whom it had not seen")
    with pytest.raises(StudyNotPossible, match="for women whom it had not seen, expected over observed would be"):
        found.for_model("clinic-2026", "model/key", "", ON)


def test_every_group_that_is_told_has_enough_diagnoses(over_told: Cohort) -> None:
    report = study_calibration(over_told, 40).report
    groups = table(report, "groups")
    assert 2 <= len(groups) <= 10
    # 1 - Kaplan-Meier counts the known only, so it is no less than the diagnosed among all.
    assert (groups["women"] * groups["observed_percent"] / 100 >= 40).all()
    assert (groups["low_percent"] < groups["observed_percent"]).all()
    assert list(groups["ratio"]) == pytest.approx(list(groups["expected_percent"] / groups["observed_percent"]))


def test_scores_of_one_value_have_no_groups_and_still_a_ratio() -> None:
    flat = cohort_by_chance(3, 3000, risk=0.06)
    same = Cohort(flat.exams.assign(score=0.05), flat.women, flat.flow)
    report = study_calibration(same, 11).report
    assert [part.name for part in report.parts if isinstance(part, Table) and part.name == "groups"] == []
    assert report.figures["expected_five_year_percent"] == 5.0
    assert report.figures["calibrator"] in (None, "platt")


def test_the_report_is_written_and_claims_nothing_of_finding_more_cancers(over_told: Cohort, tmp_path: Path) -> None:
    report = study_calibration(over_told, 11).report
    page = write_report(report, tmp_path, 11, ORIGIN).read_text(encoding="utf-8")
    assert "finds no more cancers" in page
    assert page.count("<svg") == 1
    for part in ("both the same", "groups", "with the calibrator"):
        assert f">{part}</text>" in page, "the legend names it"
    assert json.loads((tmp_path / "summary.json").read_text())["calibrator"] == "platt"
    assert np.isfinite(pd.read_csv(tmp_path / "groups.csv").to_numpy(float)).all()
