"""A report in its folder: what it takes the place of, and where it cannot be."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cds.errors import StudyNotPossible
from cds.study.cohorts.flow import Flow, Step
from cds.study.telling.report import Report, Table, ready_folder, write_report
from cds.study.telling.summaries import Origin
from tests.cds.study.builders import ORIGIN


def page_of(folder: Path, *parts: Table, flow: Flow = Flow(20, 20), origin: Origin = ORIGIN) -> str:  # noqa: B008
    """The page of a report with these parts, on one line."""
    page = write_report(Report("A study", (), parts, flow), folder, 11, origin).read_text(encoding="utf-8")
    return " ".join(page.split())


def written(folder: Path, *names: str, **files: str) -> str:
    """The page of a report with tables of these names."""
    tables = tuple(Table(name, name, pd.DataFrame({"share": [1 / 3]})) for name in names)
    flow = Flow(1503, 6000, (Step("without a score", 3, 31),))
    report = Report("A study", (), tables, flow, {"women": 1500}, files)
    return write_report(report, folder, 11, ORIGIN).read_text(encoding="utf-8")


def test_no_table_of_an_earlier_report_stays_and_no_other_file_goes(tmp_path: Path) -> None:
    (tmp_path / "cohort.csv").write_text("the site's own")
    written(tmp_path, "slopes", "by_group", **{"settings.toml": "[policy]"})
    written(tmp_path, "slopes")

    assert {file.name for file in tmp_path.iterdir()} == {"cohort.csv", "slopes.csv", "summary.json", "report.html"}


def test_a_summary_that_was_edited_removes_nothing_elsewhere(tmp_path: Path) -> None:
    folder, other = tmp_path / "report", tmp_path / "other.csv"
    folder.mkdir()
    other.write_text("kept")
    said = {"study": "drift", "made_on": "2026-05-01", "files": ["../other.csv", str(other), 7, None]}
    (folder / "summary.json").write_text(json.dumps(said))
    written(folder, "slopes")

    assert other.read_text() == "kept"


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StudyNotPossible, match="name another --output"):
            ready_folder(folder)


def test_the_page_tells_no_number_from_which_a_small_step_follows(tmp_path: Path) -> None:
    page = written(tmp_path, "slopes")

    assert "read: about 1500 women, 6000 exams" in page
    assert "1503" not in page


def test_tables_have_no_more_digits_than_anybody_needs(tmp_path: Path) -> None:
    written(tmp_path, "slopes")

    assert (tmp_path / "slopes.csv").read_text() == "share\n0.333333\n"


@pytest.mark.parametrize("name", ["slopes.csv", "settings.toml", "report.html", "summary.json"])
def test_a_file_of_the_sites_own_is_never_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"their": "own"}')

    with pytest.raises(StudyNotPossible, match=rf"'{name}' in the folder of --output is not an earlier report's"):
        written(tmp_path, "slopes", **{"settings.toml": "[policy]"})

    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {name: '{"their": "own"}'}


def test_what_a_study_reads_is_not_replaced_even_where_an_earlier_report_wrote_it(tmp_path: Path) -> None:
    written(tmp_path, "slopes")

    with pytest.raises(StudyNotPossible, match=r"'slopes\.csv' in the folder of --output"):
        ready_folder(tmp_path, [tmp_path / "slopes.csv"])


def test_a_foreign_page_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("theirs")

    with pytest.raises(StudyNotPossible, match="name another --output"):
        ready_folder(tmp_path)


def test_no_figure_has_more_digits_than_the_tables_whatever_its_column_is_of(tmp_path: Path) -> None:
    frame = pd.DataFrame({"median": pd.Series([4.732146579633396, None], dtype=object)})
    report = Report("A study", (), (Table("years", "years", frame),), Flow(20, 20), {"median": 4.732146579633396})

    write_report(report, tmp_path, 11, ORIGIN)

    assert (tmp_path / "years.csv").read_text().splitlines()[1] == "4.73215"
    assert json.loads((tmp_path / "summary.json").read_text())["median"] == 4.73215


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_text_that_a_spreadsheet_would_run_is_a_text_there(text: str, tmp_path: Path) -> None:
    report = Report("A study", (), (Table("by_group", "By group", pd.DataFrame({"part": [text]})),), Flow(20, 20))

    write_report(report, tmp_path, 11, ORIGIN)

    assert pd.read_csv(tmp_path / "by_group.csv")["part"].tolist() == [f"'{text}"]


def test_the_page_says_when_and_by_what_it_was_made_and_of_which_scores(tmp_path: Path) -> None:
    page = page_of(tmp_path, origin=replace(ORIGIN, model="mirai-2", source="the file '<a>.csv'"))

    assert re.search(r"Made on 2026-05-20 by MammoTrend \S+ from the file &#39;&lt;a&gt;\.csv&#39;\. Model", page)
    assert "Model of the scores: mirai-2." in page


def test_the_page_says_that_no_model_is_named(tmp_path: Path) -> None:
    assert "Which model made the scores is not named." in page_of(tmp_path)


@pytest.mark.parametrize("is_simulated", [True, False])
def test_a_cohort_that_nobody_is_in_is_marked_on_the_page(is_simulated: bool, tmp_path: Path) -> None:
    page = page_of(tmp_path, origin=replace(ORIGIN, is_simulated=is_simulated))

    assert ("Simulated: nobody is in this cohort" in page) is is_simulated


def test_on_the_page_all_figures_of_a_table_have_the_same_decimals(tmp_path: Path) -> None:
    cells = pd.Series([7.083e-05, 0.9999, -0.0001, 11.63, "not told", None, 4], dtype=object)

    page = page_of(tmp_path, Table("auc", "AUC", pd.DataFrame({"value": cells}), decimals=3))

    shown = re.findall(r"<td[^>]*>([^<]*)</td>", page)
    assert shown == ["0.000", "1.000", "0.000", "11.630", "not told", "-", "4"]


def test_columns_stand_by_what_they_are_of_and_not_by_whether_their_counts_are_told(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "part": ["40 to 49", "a"],
            "hidden": ["not told", "not told"],
            "some": ["not told", "12"],
            "small": ["under 11", "13"],
            "weeks": ["1 of 52", "not told"],
            "women": [12, 13],
        }
    )

    kinds = dict(Table("by_age", "By age", frame).columns)

    assert kinds == {"part": "words", **dict.fromkeys(["hidden", "some", "small", "weeks", "women"], "numbers")}


def test_an_empty_table_says_so(tmp_path: Path) -> None:
    page = page_of(tmp_path, Table("changes", "Changes of level", pd.DataFrame({"unit": []})))

    assert "<h2>Changes of level</h2> <p>None.</p>" in page


def test_nothing_is_said_of_women_where_only_exams_were_left_out(tmp_path: Path) -> None:
    page = page_of(tmp_path, flow=Flow(40, 90, (Step("a copy", 0, 20), Step("without a score", 15, 30))))

    assert "a copy: 20 exams</li>" in page
    assert "without a score: 30 exams, and with them 15 women</li>" in page
