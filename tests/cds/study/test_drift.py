"""What is told of scores and refusals month by month."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

import pandas as pd
import pytest
from sqlalchemy import Engine

from cds.errors import StudyNotPossible
from cds.store.refusal_rates import MonthOfRefusals
from cds.store.score_spread import spread_of_scores
from cds.study.cohorts.cohort import Cohort
from cds.study.drift import drift_report, monthly_spread
from cds.study.progress import silently
from cds.study.telling.report import Picture, Report, Table
from tests.cds.builders import MODEL
from tests.cds.store.test_score_spread import put
from tests.cds.study.builders import OneExam, cohort, woman

MONTHS = [f"{year}-{month:02}" for year in (2024, 2025) for month in range(1, 13)]
FEWEST = 11


def unit(levels: Sequence[float], device: str | None = "A", exams: int = 30) -> list[OneExam]:
    """A month for each level, with so many exams around it."""
    around = [0.9, 1.0, 1.1] * (exams // 3) + [1.0] * (exams % 3)
    return [
        OneExam(f"{month}-15", level * part, device)
        for month, level in zip(MONTHS, levels, strict=False)
        for part in around
    ]


def site(*units: list[OneExam]) -> Cohort:
    """Each exam of another woman; one of the last day makes the last month a full one."""
    exams = [exam for one in units for exam in one]
    return cohort(*(woman(exam) for exam in exams), woman(OneExam("2025-12-31", 2.0, "last")))


def report(whom: Cohort, refusals: Sequence[MonthOfRefusals] = ()) -> Report:
    return drift_report(whom, FEWEST, silently, refusals)


def table(told: Report, name: str) -> pd.DataFrame:
    return next(part.frame for part in told.parts if isinstance(part, Table) and part.name == name)


def test_a_unit_that_moved_has_its_change_and_its_alarm_and_the_other_has_none() -> None:
    told = report(site(unit([2.0] * 21 + [3.0] * 3), unit([2.0] * 24, "B")))

    changes = table(told, "change_points")
    assert changes.to_dict("records") == [
        {"unit": "A", "figure": "median score (%)", "from month": "2025-10", "level before": 2.0, "level after": 3.0}
    ]
    assert told.sentences[1].startswith("Alarm, A: median 3.00 % in 2025-10")
    assert (told.figures["units_in_alarm"], told.figures["units_judged"], told.figures["change_points"]) == (1, 2, 1)
    assert [part.title for part in told.parts if isinstance(part, Picture)] == ["Scores of A", "Scores of B"]


def test_a_change_long_ago_is_found_and_no_alarm_of_today() -> None:
    told = report(site(unit([2.0] * 10 + [3.0] * 14)))

    assert list(table(told, "change_points")["from month"]) == ["2024-11"]
    assert told.sentences[1].startswith("No alarm")


def test_a_month_of_few_exams_tells_no_score_and_no_number() -> None:
    months = table(report(site(unit([2.0] * 24), unit([2.0] * 2, "B", exams=6))), "months").set_index(["unit", "month"])

    assert months.loc[("B", "2024-01"), "exams"] == "not told"
    assert str(months.loc[("B", "2024-01"), "median"]) == "nan"
    assert months.loc[("A", "2024-01"), "median"] == 2.0


def test_refused_exams_have_a_table_and_their_change() -> None:
    refusals = [MonthOfRefusals(month, 400, 20 if month < "2025-01" else 80) for month in MONTHS]

    told = report(site(unit([2.0] * 24)), refusals)

    assert table(told, "change_points").to_dict("records") == [
        {
            "unit": "all units",
            "figure": "refused (%)",
            "from month": "2025-01",
            "level before": 5.0,
            "level after": 20.0,
        }
    ]
    assert "The share of refused exams changed from 5.0 to 20.0 % in 2025-01." in told.sentences
    assert table(told, "refusals").iloc[0]["refused (%)"] == 5.0


def test_few_refused_exams_are_not_told_nor_what_they_follow_from() -> None:
    row = table(report(site(unit([2.0] * 24)), [MonthOfRefusals("2024-01", 400, 3)]), "refusals").iloc[0]

    assert (row["refused"], row["exams"], row["refused (%)"]) == ("not told", None, None)


def test_a_file_says_that_it_has_no_refusals() -> None:
    told = report(site(unit([2.0] * 24)))

    assert any("are not in a file" in sentence for sentence in told.sentences)
    assert told.figures["refusal_change_points"] is None


def test_a_unit_without_a_name_is_one_of_its_own() -> None:
    assert set(table(report(site(unit([2.0] * 24, None))), "months")["unit"]) == {"not named", "last"}


def test_without_a_month_of_enough_exams_it_says_what_is_needed() -> None:
    with pytest.raises(StudyNotPossible, match="30 exams"):
        report(site(unit([2.0] * 24, exams=29)))


def test_quartiles_are_those_that_the_store_tells_of_the_same_exams(engine: Engine) -> None:
    percents = [0.4, 1.7, 2.2, 0.9, 3.0, 1.1, 1.3, 1.4, 5.0, 2.0, 2.1, 2.6, 0.8]
    put(engine, [percent / 100 for percent in percents], date(2026, 5, 3))
    whom = cohort(*(woman(OneExam("2026-05-03", percent, "HOLOGIC Selenia")) for percent in percents))

    (ours,) = monthly_spread(whom.exams, FEWEST)
    (theirs,) = spread_of_scores(engine, MODEL.key, date(2026, 1, 1))

    assert (ours.device, ours.month, ours.exams) == (theirs.device, theirs.month, theirs.exams)
    assert (ours.lower, ours.median, ours.upper) == (theirs.lower, theirs.median, theirs.upper)
    assert ours.mean == pytest.approx(theirs.mean)


def test_the_one_month_of_few_exams_does_not_follow_from_the_others() -> None:
    """All exams together are in the flow."""
    exams = [*unit([2.0] * 24), *unit([2.0] * 1, "B", exams=5)]
    told = report(cohort(*(woman(exam) for exam in exams)))

    months = table(told, "months").set_index(["unit", "month"])
    hidden = months[months["exams"] == "not told"]
    assert list(hidden.index) == [("A", "2024-01"), ("B", "2024-01")]
    # Quartiles would say that the second is not the small one.
    assert hidden["median"].isna().all()


def test_the_one_month_of_few_refusals_does_not_follow_from_the_others() -> None:
    refusals = [MonthOfRefusals("2024-01", 400, 3), *(MonthOfRefusals(month, 400, 40) for month in MONTHS[1:])]
    refused = table(report(site(unit([2.0] * 24)), refusals), "refusals")

    assert list(refused["refused"])[:3] == ["not told", "not told", "40"]
    assert list(refused["exams"].isna())[:3] == [True, True, False]


def test_no_quartile_is_told_or_drawn_as_one_womans_own_score() -> None:
    whom = site(unit([2.0] * 12 + [2.123456789] * 12))
    told = report(whom)

    assert set(table(told, "months")["median"].dropna()) == {2.0, 2.12}
    drawn, rounded = (
        [part.svg for part in report(one).parts if isinstance(part, Picture)]
        for one in (whom, site(unit([2.0] * 12 + [2.12] * 12)))
    )
    medians = [re.findall(r'class="median".*?d="([^"]*)"', svg, re.DOTALL) for svg in (*drawn, *rounded)]
    assert medians[0] == medians[1] != []
