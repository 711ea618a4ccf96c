"""What is told of repeated exams, the setting that is written, and the bound where there are none."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.errors import StudyNotPossible
from cds.settings import PolicySettings
from cds.study.cohorts.assembling import SAME_ROW
from cds.study.cohorts.flow import Step
from cds.study.progress import silently
from cds.study.repeatability import repeatability_report, setting_points
from cds.study.repeats import NOT_KNOWN
from cds.study.telling.report import Report, Table
from tests.cds.study.builders import OneExam, Woman, cohort, woman

FEWEST = 11
SD = 0.3


def twice(count: int, device: str | None = "A", second_device: str | None = None, **known: str | None) -> list[Woman]:
    """Women with two exams a month apart that differ by chance alone."""
    scores = 2.0 + np.random.default_rng(3).normal(0, SD, (count, 2))
    return [
        woman(OneExam("2025-01-01", one, device), OneExam("2025-02-01", other, second_device or device), **known)
        for one, other in scores
    ]


def yearly(count: int, years: int = 4) -> list[Woman]:
    """Women with yearly exams around a line of their own."""
    rng = np.random.default_rng(4)
    lines = zip(rng.normal(2.5, 0.5, count), rng.normal(0.1, 0.1, count), strict=True)
    return [
        woman(*((f"{2018 + year}-06-01", level + slope * year + rng.normal(0, SD)) for year in range(years)))
        for level, slope in lines
    ]


def report(*women: Woman, fewest: int = FEWEST, within_days: int = 92) -> Report:
    return repeatability_report(cohort(*women), fewest, silently, within_days)


def table(told: Report, name: str) -> pd.DataFrame:
    return next(part.frame for part in told.parts if isinstance(part, Table) and part.name == name)


def test_repeats_give_the_detectable_change_with_its_interval() -> None:
    figures = report(*twice(400)).figures

    assert figures["source"] == "repeats"
    assert figures["within_person_sd_points"] == pytest.approx(SD, rel=0.1)
    low, high = figures["minimum_detectable_change_low"], figures["minimum_detectable_change_high"]
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert low < 2.77 * SD < high


def test_the_file_is_the_setting_of_the_trajectory() -> None:
    told = report(*twice(100))

    policy = PolicySettings(**tomllib.loads(told.files["settings.toml"])["policy"])

    assert policy.minimum_detectable_change_points == told.figures["setting_points"]
    assert f"minimum_detectable_change_points = {told.figures['setting_points']}" in " ".join(told.sentences)


@given(st.floats(1e-6, 99))
def test_the_setting_is_never_less_than_was_measured_and_always_one_that_is_taken(value: float) -> None:
    setting = setting_points(value)

    assert setting >= Decimal(repr(value))
    assert setting - Decimal(repr(value)) < Decimal("0.01") or setting == Decimal("0.1")
    assert PolicySettings(minimum_detectable_change_points=float(setting))


def test_two_units_are_a_row_of_their_own_and_no_part_of_the_measure() -> None:
    same = report(*twice(60))
    both = report(*twice(60), *twice(60, "A", "B"))

    assert both.figures == same.figures
    assert list(table(both, "by_device")["unit"]) == ["A", "between two units"]


def test_pairs_of_unknown_units_are_a_row_of_their_own_where_others_are_known() -> None:
    same = report(*twice(60))
    some = report(*twice(60), *twice(60, None))

    assert some.figures == same.figures
    assert list(table(some, "by_device")["unit"]) == ["A", NOT_KNOWN]
    assert "on one unit:" in some.sentences[0]


def test_where_no_unit_is_known_the_pairs_are_measured_and_not_said_to_be_on_one() -> None:
    told = report(*twice(60, None))

    assert told.figures["pairs"] == 60
    assert "units that are not known" in told.sentences[0]
    assert "on one unit" not in told.sentences[0]
    assert "units that are not known" in told.files["settings.toml"]


def test_rows_of_one_day_that_were_dropped_as_copies_are_told_where_scores_are_rounded() -> None:
    """Of a file with two decimals: two scores of a day that are equal may be one row twice, or two exams."""
    rounded, exact = (
        [
            woman(*(OneExam("2025-01-01", round(one, digits), "A") for one in scores))
            for scores in 2.0 + np.random.default_rng(3).normal(0, SD, (60, 2))
        ]
        for digits in (2, 9)
    )

    def told(women: list[Woman], dropped: int) -> Report:
        read = cohort(*women)
        step = Step(SAME_ROW, 0, dropped)
        return repeatability_report(replace(read, flow=replace(read.flow, left_out=(step,))), FEWEST, silently, 0)

    for report_of, dropped, words in ((told(rounded, 40), 40, "40 rows"), (told(rounded, 7), 7, "under 11 rows")):
        assert dropped
        assert words in " ".join(report_of.sentences)
        assert f"# {words}" in report_of.files["settings.toml"]
        assert tomllib.loads(report_of.files["settings.toml"])["policy"]
    for quiet in (told(rounded, 0), told(exact, 40)):
        assert "rows" not in " ".join(quiet.sentences)


def test_repeats_of_which_one_woman_has_over_a_tenth_are_refused() -> None:
    """A phantom, most likely: its scores differ less than any woman's, and so would the measure say."""
    days = pd.date_range("2020-01-01", periods=24, freq="60D").strftime("%Y-%m-%d")
    phantom = woman(*(OneExam(day, 12 + 0.01 * place, "A") for place, day in enumerate(days)))

    with pytest.raises(StudyNotPossible, match=r"one woman has over 10 % of the pairs: .* phantom"):
        report(*twice(60), phantom)


def test_of_a_unit_with_the_pairs_of_one_woman_above_all_no_spread_is_told() -> None:
    days = pd.date_range("2020-01-01", periods=24, freq="60D").strftime("%Y-%m-%d")
    often = woman(*(OneExam(day, 12 + 0.01 * place, "B") for place, day in enumerate(days)))

    rows = table(report(*twice(100), *twice(30, "B"), often), "by_device").set_index("unit")

    assert list(rows["standard deviation (points)"].isna()) == [False, True]


def test_exams_within_a_year_of_a_diagnosis_are_left_out_and_counted() -> None:
    told = report(*twice(60), *twice(12, diagnosis="2026-01-31"), *twice(13, diagnosis="2024-06-01"))

    assert told.figures["pairs"] == 60
    assert [(step.words, step.exams) for step in told.flow.left_out] == [
        ("an exam within the year before a diagnosis, or after it", 12 + 26)
    ]


def test_a_unit_with_few_pairs_tells_neither_their_number_nor_lets_it_follow() -> None:
    rows = table(report(*twice(60), *twice(5, "B"), *twice(40, "C")), "by_device").set_index("unit")

    assert dict(rows["pairs"]) == {"A": 60, "B": "not told", "C": "not told"}
    assert list(rows["standard deviation (points)"].isna()) == [False, True, True]


def test_of_a_unit_with_under_thirty_pairs_the_number_is_told_alone() -> None:
    rows = table(report(*twice(60), *twice(20, "B")), "by_device").set_index("unit")

    assert rows.loc["B", "pairs"] == 20
    assert str(rows.loc["B", "minimum detectable change (points)"]) == "nan"


def test_without_repeats_a_bound_from_the_mixed_model_is_told_as_such_and_the_setting_is_a_comment() -> None:
    told = report(*yearly(400))

    assert told.figures["source"] == "mixed_model"
    assert told.figures["minimum_detectable_change_points"] == pytest.approx(2.77 * SD, rel=0.1)
    assert told.sentences[0] == (
        "Not measured by repeats: there are 0 pairs of exams of 0 women within 92 days on one unit, of 30 pairs of 10 "
        "women needed."
    )
    assert told.sentences[1].startswith("Estimated upper bound")
    assert tomllib.loads(told.files["settings.toml"]) == {"policy": {}}
    assert "# minimum_detectable_change_points = " in told.files["settings.toml"]


def test_few_repeats_are_not_counted_in_public() -> None:
    told = report(*yearly(200), *twice(7))

    assert told.figures["pairs"] is None
    assert "under 11 pairs" in told.sentences[0]


def test_with_neither_repeats_nor_enough_women_it_says_what_is_needed() -> None:
    with pytest.raises(StudyNotPossible, match=r"29 pairs .* of 30 pairs.*0 women with 3 exams, of 100 needed"):
        report(*twice(29))


@pytest.mark.parametrize("days", [-1, 367])
def test_days_that_are_no_short_interval_are_refused(days: int) -> None:
    with pytest.raises(StudyNotPossible, match="--within-days"):
        report(*twice(40), within_days=days)


def test_no_single_pair_is_drawn() -> None:
    told = table(report(*twice(50)), "by_level")

    assert list(told["pairs"]) == [13, 12, 13, 12]


def test_a_few_pairs_on_one_unit_do_not_follow_where_there_are_pairs_between_two() -> None:
    """The pairs on one unit are told together: those between two units hide nothing of them."""
    rows = table(report(*twice(60), *twice(5, "B"), *twice(40, "C"), *twice(12, "A", "B")), "by_device")

    assert dict(zip(rows["unit"], rows["pairs"], strict=True)) == {
        "A": 60,
        "B": "not told",
        "C": "not told",
        "between two units": 12,
    }


def test_many_pairs_of_a_few_women_are_no_measure() -> None:
    often = [
        woman(
            *(
                OneExam(f"2025-{month:02}-{day:02}", 2 + 0.1 * day * who, "A")
                for month in range(1, 11)
                for day in (1, 9)
            )
        )
        for who in range(1, 5)
    ]

    assert report(*often, *yearly(100)).figures["source"] == "mixed_model"
    assert report(*often[:1], *yearly(100), fewest=1).figures["source"] == "mixed_model"


def test_where_higher_scores_differ_more_the_change_is_said_to_hold_of_all_women_together() -> None:
    grown = [woman(OneExam("2025-01-01", who / 10, "A"), OneExam("2025-02-01", who / 8, "A")) for who in range(60)]

    told = report(*grown)

    said = " ".join(told.sentences)
    assert "19 times in 20 of all women together" in said
    assert "# Higher scores differ more" in told.files["settings.toml"]
    assert "19 times in 20," in " ".join(report(*twice(60)).sentences)
    assert "Higher" not in report(*twice(60)).files["settings.toml"]


def test_repeats_in_exact_proportion_are_measured_and_no_factor_is_told() -> None:
    levels = np.random.default_rng(1).uniform(1, 20, 60)
    proportional = [woman(OneExam("2025-01-01", one, "A"), OneExam("2025-01-03", 1.1 * one, "A")) for one in levels]

    told = report(*proportional)

    assert told.figures["pairs"] == 60
    assert "all in the same proportion" in " ".join(told.sentences)
    assert "copies" not in " ".join(told.sentences)


def test_of_scores_of_0_no_factor_is_told() -> None:
    grown = [woman(OneExam("2025-01-01", who / 10, "A"), OneExam("2025-02-01", who / 8, "A")) for who in range(60)]

    said = " ".join(report(*grown).sentences)

    assert "as there are scores of 0, no factor tells" in said
    assert "nan" not in said
