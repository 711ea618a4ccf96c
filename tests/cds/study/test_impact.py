"""What is told before going live: loads, cancers, parts of the women, and what is hidden."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from cds.errors import StudyNotPossible
from cds.study.cohorts.cohort import Cohort
from cds.study.impact import Foreseen, impact_report
from cds.study.progress import silently
from cds.study.telling.report import Report, Table
from cds.study.telling.small_cells import NOT_TOLD
from hooks.case import Comparator, MriPolicy
from tests.cds.study.builders import OneExam, Woman, cohort, woman

YEAR = Foreseen(1.0, since=date(2025, 1, 1), until=date(2025, 12, 30))
FEWEST = 11


def women(count: int, percent: float, *, device: str = "A", **known: str | None) -> list[Woman]:
    """Women with one exam in March 2025, followed to 2027 where nothing else is said."""
    exam = OneExam("2025-03-01", percent, device=device, age=55)
    return [woman(exam, **({"last_follow_up": "2027-01-01"} | known)) for _ in range(count)]


def report(whom: Cohort, asked: Foreseen = YEAR, fewest: int = FEWEST) -> Report:
    return impact_report(whom, fewest, silently, asked)


def table(told: Report, name: str) -> pd.DataFrame:
    return next(part.frame for part in told.parts if isinstance(part, Table) and part.name == name)


def site() -> Cohort:
    """300 women, 120 of them over the threshold; 20 cancers of the 30 among them."""
    ill = {"diagnosis": "2025-06-01"}
    return cohort(*women(100, 3.0), *women(20, 3.0, **ill), *women(170, 1.0), *women(10, 1.0, **ill))


def test_load_and_share_are_those_of_the_period() -> None:
    row = table(report(site()), "policies").iloc[0]

    assert (row["policy"], row["women flagged"], row["flagged (%)"]) == ("threshold", 120, 40.0)
    assert row["MRI a week"] == 2.31  # 120 in 52 weeks
    assert (row["from (%)"], row["to (%)"]) == (34.62, 45.64)  # Wilson's interval, reckoned by hand
    assert row["followed up (%)"] == 100


def test_weeks_over_the_capacity_are_counted() -> None:
    assert table(report(site()), "policies").iloc[0]["weeks over capacity"] == "1 of 52"


def test_cancers_are_hidden_on_both_sides_where_one_side_is_small() -> None:
    told = table(report(site()), "policies").iloc[0]
    assert {told["cancers flagged"], told["cancers not flagged"], told["of cancers flagged (%)"]} == {NOT_TOLD}

    told = table(report(site(), fewest=10), "policies").iloc[0]
    assert (told["cancers flagged"], told["cancers not flagged"]) == (20, 10)
    assert told["of cancers flagged (%)"] == pytest.approx(66.67)


def test_where_no_diagnosis_is_known_nothing_is_said_of_cancers() -> None:
    told = report(cohort(*women(50, 3.0), *women(50, 1.0)))

    assert "cancers flagged" not in table(told, "policies")
    assert any("No diagnosis is known" in sentence for sentence in told.sentences)


@pytest.mark.parametrize(("followed", "lost", "told"), [(1999, 1, 99), (199, 1, NOT_TOLD), (5, 200, NOT_TOLD)])
def test_the_share_that_was_followed_up_is_told_rounded_down_unless_that_tells_of_a_few(
    followed: int, lost: int, told: object
) -> None:
    whom = cohort(
        *women(followed, 3.0),
        *women(lost, 3.0, last_follow_up="2025-04-01"),
        woman(("2025-03-01", 1.0), diagnosis="2025-06-01", last_follow_up="2027-01-01"),
    )

    assert table(report(whom), "policies").iloc[0]["followed up (%)"] == told


def test_a_policy_that_flags_a_few_less_than_another_is_not_told_beside_it() -> None:
    """Else 5 women are had by subtraction: over the threshold, and not for the first time."""
    new = [woman(OneExam("2024-03-01", 1.0, age=54), OneExam("2025-03-01", 3.0, age=55)) for _ in range(60)]
    known = [woman(OneExam("2024-03-01", 3.0, age=54), OneExam("2025-03-01", 3.0, age=55)) for _ in range(5)]
    whom = cohort(*new, *known, *women(50, 1.0))

    def flagged(fewest: int) -> list[object]:
        return list(table(report(whom, fewest=fewest), "policies").set_index("policy")["women flagged"])

    assert flagged(FEWEST) == [65, 0, NOT_TOLD]
    assert flagged(5) == [65, 0, 60]


def test_nor_is_it_told_in_a_part_of_the_women() -> None:
    new = [woman(OneExam("2024-03-01", 1.0, age=54), OneExam("2025-03-01", 3.0, age=55), group="X") for _ in range(60)]
    known = [woman(OneExam("2024-03-01", 3.0, age=54), OneExam("2025-03-01", 3.0, age=55), group="X") for _ in range(5)]
    others = [woman(OneExam("2025-03-01", 3.0, age=55), group="Y") for _ in range(40)]
    few = [woman(OneExam("2025-03-01", 1.0, age=55), group=group) for group in "XY" for _ in range(30)]

    of_group = table(report(cohort(*new, *known, *others, *few)), "by_group").set_index(["policy", "part"])

    assert of_group.loc[("threshold", "X"), "women flagged"] == 65
    assert of_group.loc[("newly over", "X"), "women flagged"] == NOT_TOLD


def test_how_many_are_too_young_is_not_told_where_the_table_by_age_hides_a_few() -> None:
    """12 too young, from 15 that the table tells neither of, leave the 3 whose age is not known."""
    young = [woman(OneExam("2025-03-01", 3.0, age=30)) for _ in range(12)]

    told = " ".join(report(cohort(*young, *[woman(("2025-03-01", 3.0))] * 3, *women(40, 3.0))).sentences)

    assert "12 women" not in told
    assert "is not told (too few); none of these is flagged" in told


def test_parts_of_the_women_are_told_each_and_small_ones_with_a_second_so_that_none_follows() -> None:
    whom = cohort(
        *women(60, 3.0, device="A"),
        *women(40, 1.0, device="A"),
        *women(30, 3.0, device="B"),
        *women(20, 1.0, device="B"),
        *women(5, 3.0, device="C"),
    )

    rows = table(report(whom), "by_device").set_index(["policy", "part"]).loc["threshold"]

    assert rows.loc["A", "flagged (%)"] == 60.0
    assert list(rows["women"]) == [100, NOT_TOLD, NOT_TOLD]
    assert list(rows["women flagged"]) == [60, NOT_TOLD, NOT_TOLD]


def test_a_part_that_all_women_share_has_no_table() -> None:
    names = {part.name for part in report(site()).parts if isinstance(part, Table)}

    assert names == {"policies"}


def test_groups_of_the_sites_own_are_compared() -> None:
    whom = cohort(*women(50, 3.0, group="x"), *women(50, 1.0, group="x"), *women(25, 3.0), *women(75, 1.0))

    rows = table(report(whom), "by_group").set_index(["policy", "part"]).loc["threshold"]

    assert dict(rows["flagged (%)"]) == {"not known": 25.0, "x": 50.0}


def test_the_shares_of_groups_are_among_the_figures_and_those_of_small_ones_are_not_told() -> None:
    whom = cohort(*women(50, 3.0, group="x"), *women(50, 1.0, group="x"), *women(25, 3.0), *women(75, 1.0))
    few = cohort(*women(50, 3.0, group="x"), *women(50, 1.0, group="x"), *women(5, 3.0), *women(5, 1.0))

    names = "threshold_flagged_percent_of_x", "threshold_flagged_percent_of_not known"
    assert [report(whom).figures[name] for name in names] == [50.0, 25.0]
    assert [report(few).figures[name] for name in names] == [None, None]
    assert report(whom).figures["rule"] == "over 1.7 %"


@pytest.mark.parametrize(("count", "threshold"), [(52, None), (53, 2.0)])
def test_where_every_woman_has_a_place_no_threshold_is_told(count: int, threshold: float | None) -> None:
    told = report(cohort(*women(52, 3.0), *women(count, 2.0)), replace(YEAR, capacity_a_week=2))  # 104 in 52 weeks

    assert told.figures["capacity_threshold_percent"] == threshold
    words = "no threshold is needed: there is a place for every woman"
    assert any(words in sentence for sentence in told.sentences) is (threshold is None)


@pytest.mark.parametrize(("years", "words"), [(1.0, "within 1 year of"), (2.0, "within 2 years of")])
def test_the_note_says_how_long_after_the_exam_a_cancer_counts(years: float, words: str) -> None:
    told = report(site(), replace(YEAR, follow_up_years=years))

    assert any(words in part.note for part in told.parts if isinstance(part, Table))


def test_the_threshold_for_the_capacity_is_told_with_its_ties() -> None:
    told = report(site())

    assert told.figures["capacity_threshold_percent"] == 3.0
    assert any("threshold that flags no more women is: over 3.0 %." in sentence for sentence in told.sentences)
    assert any("120 women share the score at that edge" in sentence for sentence in told.sentences)


def test_headline_figures_are_there_and_hidden_ones_are_none() -> None:
    figures = report(site()).figures

    assert (figures["women"], figures["threshold_flagged_percent"]) == (300, 40.0)
    assert figures["threshold_of_cancers_flagged_percent"] is None


def test_few_flagged_women_are_not_told_by_their_number_share_or_load() -> None:
    told = report(cohort(*women(5, 3.0), *women(95, 1.0)))

    row = table(told, "policies").iloc[0]
    assert {row[name] for name in ("women flagged", "flagged (%)", "MRI a week", "weeks over capacity")} == {NOT_TOLD}
    assert " 5 " not in " ".join(told.sentences)


def test_ages_under_the_rule_and_unknown_ones_are_told() -> None:
    young = [woman(OneExam("2025-03-01", 3.0, age=30)) for _ in range(12)]
    unknown = [woman(("2025-03-01", 3.0)) for _ in range(13)]

    told = report(cohort(*young, *unknown, *women(20, 3.0)))

    assert any("12 women were younger" in sentence and "of 13 the age" in sentence for sentence in told.sentences)
    assert table(told, "policies").iloc[0]["women flagged"] == 20


def test_rising_needs_the_minimum_detectable_change() -> None:
    def names(policy: MriPolicy) -> list[str]:
        return list(
            table(report(site(), Foreseen(1.0, policy, since=YEAR.since, until=YEAR.until)), "policies")["policy"]
        )

    assert names(MriPolicy()) == ["threshold", "percentile", "newly over"]
    assert names(MriPolicy(minimum_detectable_change=0.005))[3:] == ["rising", "over and rising"]


@pytest.mark.parametrize("capacity", [0.0, -1.0, float("nan"), float("inf"), 1e308])
def test_a_capacity_that_is_none_is_refused(capacity: float) -> None:
    with pytest.raises(StudyNotPossible, match="--capacity"):
        Foreseen(capacity)


@pytest.mark.parametrize(("since", "until"), [(date(9999, 12, 31), None), (None, date(1, 1, 1))])
def test_a_period_beyond_the_calendar_is_refused(since: date | None, until: date | None) -> None:
    with pytest.raises(StudyNotPossible, match="check --since and --until"):
        report(site(), Foreseen(1.0, since=since, until=until))


def test_a_percentile_or_a_follow_up_that_makes_no_sense_is_refused() -> None:
    for wrong in (0.0, 100.0, float("nan")):
        with pytest.raises(StudyNotPossible, match="--percentile"):
            Foreseen(1.0, percentile=wrong)
        with pytest.raises(StudyNotPossible, match="--follow-up"):
            Foreseen(1.0, follow_up_years=wrong if wrong != 100 else -1)


def test_of_a_handful_of_women_nothing_is_told() -> None:
    with pytest.raises(StudyNotPossible, match="fewer than 11 women"):
        report(cohort(*women(10, 3.0)))


def aged(count: int, age: float, percent: float = 3.0) -> list[Woman]:
    return [woman(OneExam("2025-03-01", percent, age=age)) for _ in range(count)]


@pytest.mark.parametrize(("younger", "older"), [(3, 30), (20, 5)])
def test_how_many_are_too_young_is_not_told_where_they_or_the_rest_of_their_band_are_a_few(
    younger: int, older: int
) -> None:
    whom = cohort(*aged(younger, 41), *aged(older, 47), *aged(40, 55))
    asked = Foreseen(1.0, MriPolicy(minimum_age_years=45), since=YEAR.since, until=YEAR.until)

    told = " ".join(report(whom, asked).sentences)

    assert f"{younger} women were younger" not in told
    assert "is not told (too few)" in told


def test_a_few_places_tell_no_womans_score() -> None:
    whom = cohort(*aged(20, 55, 2.0), *[one for turn in range(20) for one in aged(1, 55, 3.0 + turn / 7)])

    few, enough = (
        report(whom, Foreseen(capacity, since=YEAR.since, until=YEAR.until)) for capacity in (4 / 52, 15.1 / 52)
    )

    assert few.figures["capacity_threshold_percent"] is None
    assert not any("the lowest threshold" in sentence for sentence in few.sentences)
    assert enough.figures["capacity_threshold_percent"] == 3.58


def test_a_percentile_that_a_few_women_are_over_is_not_told() -> None:
    few, enough = (
        cohort(*aged(400 - over, 55, 1.0), *[one for turn in range(over) for one in aged(1, 55, 3.0 + turn)])
        for over in (8, 12)
    )

    def rule(whom: Cohort) -> str:
        return str(table(report(whom), "policies").set_index("policy").loc["percentile", "rule"])

    assert rule(few) == "over the site's 97th percentile, which is not told (too few)"
    assert rule(enough) == "over the site's 97th percentile, 1.00 %"


@pytest.mark.parametrize("comparator", Comparator)
def test_where_more_women_than_places_have_the_highest_score_no_threshold_is_told(comparator: Comparator) -> None:
    asked = Foreseen(0.4, MriPolicy(comparator=comparator), since=YEAR.since, until=YEAR.until)

    told = report(cohort(*aged(40, 55, 100.0)), asked)

    assert told.figures["capacity_threshold_percent"] is None
    assert any("there is no threshold" in sentence for sentence in told.sentences)
