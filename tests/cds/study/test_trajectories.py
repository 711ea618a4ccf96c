"""The published analysis: what it finds in cohorts whose truth is known, and what it keeps to itself."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

import pandas as pd
import pytest

from cds.errors import StudyNotPossible
from cds.study.cohorts.aligned import aligned
from cds.study.cohorts.cohort import Cohort
from cds.study.cohorts.flow import Flow
from cds.study.cohorts.simulated import CANCER_FREE, DIAGNOSED, simulated_cohort
from cds.study.progress import silently
from cds.study.slopes import slopes_of
from cds.study.telling.report import Picture, Report, Table
from cds.study.trajectories import trajectories_report
from tests.cds.study.builders import Woman, cohort, woman
from tests.cds.study.simulations import simulated


@pytest.fixture(scope="module")
def report() -> Report:
    return trajectories_report(simulated(seed=5), 11, silently)


def table(report: Report, name: str) -> pd.DataFrame:
    return next(part.frame for part in report.parts if isinstance(part, Table) and part.name == name)


@pytest.mark.slow
def test_the_true_slopes_of_the_studys_size_are_within_their_intervals() -> None:
    figures = trajectories_report(simulated_cohort(1), 11, silently).figures

    assert number(figures, "cancer_slope_low") < DIAGNOSED.slope < number(figures, "cancer_slope_high")
    assert number(figures, "cancer_free_slope_low") < CANCER_FREE.slope < number(figures, "cancer_free_slope_high")
    assert (figures["cancer_women"], figures["cancer_free_women"]) == (817, 53_197)


def number(figures: Mapping[str, object], name: str) -> float:
    found = figures[name]
    assert isinstance(found, float)
    return found


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    found = []
    for seed in range(60):
        exams = aligned(simulated(seed, 400, 200)).exams
        for has_cancer, course in {True: DIAGNOSED, False: CANCER_FREE}.items():
            slope = slopes_of(exams[exams["has_cancer"] == has_cancer], 11, with_bend=False).parts["all years"]
            found.append(slope.low < course.slope < slope.high)

    # Of 120 at 95 %: the binomial distribution leaves this range once in a thousand times.
    assert 106 <= sum(found) <= 120


def test_a_bend_at_two_years_is_found_where_there_is_one() -> None:
    straight = simulated(seed=5)
    index = straight.exams.groupby("patient")["exam_date"].transform("max")
    last = ((straight.exams["exam_date"] - index).dt.days / 365.25).clip(lower=-2)
    ill = straight.exams["patient"].map(straight.is_diagnosed)
    bent = straight.exams.assign(score=straight.exams["score"] + 0.01 * (last + 2) * ill)

    before, after = (
        trajectories_report(Cohort(exams, straight.women, straight.flow), 11, silently).figures
        for exams in (straight.exams, bent)
    )

    assert number(after, "cancer_slope_earlier") == pytest.approx(number(before, "cancer_slope_earlier"), abs=0.1)
    assert number(after, "cancer_slope_bend") - number(before, "cancer_slope_bend") == pytest.approx(1, abs=0.1)


def test_quartiles_of_each_year_are_those_of_its_exams(report: Report) -> None:
    found = table(report, "scores_by_year").set_index(["group", "years before"])
    exams = simulated(seed=5).exams
    last = exams.groupby("patient").tail(1)
    of_cancers = 100 * last["score"][last["patient"] < 817]

    assert found.loc[("women with a cancer", 0), "median %"] == round(of_cancers.median(), 2)
    assert found.loc[("women with a cancer", 0), "women"] == "817"
    assert found.loc[("cancer-free women", 0), "upper quartile %"] == round(
        100 * last["score"][last["patient"] >= 817].quantile(0.75), 2
    )


def test_subgroups_are_of_age_density_type_and_detection(report: Report) -> None:
    found = table(report, "slopes_by_subgroup")

    assert found.groupby("by")["of"].unique().map(sorted).to_dict() == {
        "age": ["50 to 59", "60 and over", "under 50"],
        "density": ["a", "b", "c", "d"],
        "detection": ["interval", "screen"],
        "type of cancer": ["DCIS", "invasive", "unknown"],
    }
    assert set(found[found["by"] == "detection"]["group"]) == {"women with a cancer"}


def test_the_difference_is_that_of_the_groups(report: Report) -> None:
    found = table(report, "slopes").set_index(["group", "years"])["points a year"]

    ours, theirs = found["women with a cancer"], found["cancer-free women"]
    assert found["difference of the two"].to_dict() == pytest.approx((ours - theirs).to_dict())


def test_years_with_few_women_are_neither_told_nor_drawn() -> None:
    small = simulated(seed=5, women=200, cancers=60)
    most, few = (trajectories_report(small, fewest, silently) for fewest in (1, 40))

    shown = table(few, "scores_by_year")
    is_hidden = shown["women"] == "not told"
    assert 0 < is_hidden.sum() < len(shown)
    assert shown[is_hidden]["median %"].isna().all()
    assert _marks(few) == (~is_hidden).sum() < _marks(most)


def _marks(report: Report) -> int:
    (svg,) = (part.svg for part in report.parts if isinstance(part, Picture))
    lines = ElementTree.fromstring(svg).findall(".//*[@class='median']")  # noqa: S314 # our own drawing
    return sum(len(line.findall(".//{*}use")) for line in lines)


def test_no_years_median_is_one_womans_own_score(report: Report) -> None:
    """Of an odd number of women the median is one of their scores, and with all its digits finds her in the file."""
    own = set(100 * simulated(seed=5).exams["score"])
    told = table(report, "scores_by_year")["median %"].dropna().tolist()

    assert not own & {*told, report.figures["cancer_median_percent_at_index"]}
    assert all(value == round(value, 2) for value in told)


def test_how_many_have_an_exam_in_a_year_is_not_told_where_that_few_have_none() -> None:
    early, last = ("2018-03-01", "2019-03-01"), ("2020-03-01", "2021-03-01")
    ill, well = (
        [
            woman(*((day, 2 + (number % 7 + place) / 3) for place, day in enumerate(days)), **known)
            for number, days in enumerate([early + last] * 40 + [(early[0], *last)] * 3 + [(early[1], *last)] * 20)
        ]
        for known in ({"diagnosis": "2021-04-01"}, {"last_follow_up": "2023-03-01"})
    )

    found = table(trajectories_report(cohort(*ill, *well[:43]), 11, silently), "scores_by_year")

    of_ill = found[found["group"] == "women with a cancer"].set_index("years before")
    # Of all exams less the other three years would be left what is not told of the second.
    assert of_ill["women"].to_dict() == {0: "63", 1: "63", 2: "not told", 3: "not told"}


@pytest.mark.parametrize("least", [1, 5, 60])
def test_no_years_few_women_follow_from_all_exams(least: int) -> None:
    """Of 65 with a cancer `least` have an exam in the second year, and so many others in the fifth."""
    days = [f"{year}-03-01" for year in range(2015, 2021)]

    def women(of: int, gap: int, **known: str) -> list[Woman]:
        kept = [days if number < least else [*days[:gap], *days[gap + 1 :]] for number in range(of)]
        return [
            woman(*((day, 2 + (number % 7 + place) / 3) for place, day in enumerate(own)), **known)
            for number, own in enumerate(kept)
        ]

    report = trajectories_report(
        cohort(*women(65, 3, diagnosis="2020-04-01"), *women(99, 0, last_follow_up="2023-03-01")), 11, silently
    )

    told = pd.to_numeric(table(report, "scores_by_year")["women"], errors="coerce")
    left = report.flow.exams_kept - int(told.sum())
    assert told.isna().sum() >= 2
    assert left >= 11
    assert not {least, 65 - least} & {left}


def test_no_small_subgroup_follows_from_the_others() -> None:
    women = simulated(seed=5, women=400, cancers=150)
    few = women.exams["patient"].isin(range(5))
    exams = women.exams.assign(density=women.exams["density"].where(~few).where(few, "b"))

    found = table(trajectories_report(Cohort(exams, women.women, women.flow), 11, silently), "slopes_by_subgroup")

    of_density = found[(found["by"] == "density") & (found["group"] == "women with a cancer")].set_index("of")
    assert of_density["women"].to_dict() == {"b": "not told", "not known": "not told"}
    # A slope would say that there are thirty at least, and of the others what is left.
    assert of_density["points a year"].isna().all()


def test_too_few_women_have_no_slopes_and_it_is_said_how_many_are_needed() -> None:
    with pytest.raises(StudyNotPossible, match="under 11 women with a cancer with two exams or more; 30 are needed"):
        trajectories_report(simulated(seed=5, women=200, cancers=8), 11, silently)
    with pytest.raises(StudyNotPossible, match="0 women with a cancer with"):
        trajectories_report(simulated(seed=5, women=200, cancers=0), 11, silently)


def test_a_model_that_did_not_converge_is_said_to_have_not_and_has_no_numbers() -> None:
    women = simulated(seed=5, women=400, cancers=150)
    flat = women.exams.assign(score=women.exams["score"].where(women.exams["patient"] < 150, 0.02))

    found = trajectories_report(Cohort(flat, women.women, Flow(400, len(flat))), 11, silently)

    assert any("cancer-free women: the model with one slope did not converge" in one for one in found.sentences)
    assert not any(sentence.endswith(": .") for sentence in found.sentences)
    assert "cancer_free_slope" not in found.figures
    assert "cancer_slope" in found.figures


def test_it_says_what_it_does_not_show(report: Report) -> None:
    said = " ".join(report.sentences)

    assert "counted backwards" in said
    assert "95 % interval" in said
    assert "high risk" not in said
    assert "Cancer-free means that no diagnosis is known in the file" in said
