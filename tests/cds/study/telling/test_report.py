"""A report in its folder: what it takes the place of, and where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from cds.errors import StudyNotPossible
from cds.study.cohorts.flow import Flow, Step
from cds.study.telling.report import Report, Table, ready_folder, write_report
from tests.cds.study.builders import ORIGIN


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
    (folder / "summary.json").write_text(json.dumps({"files": ["../other.csv", str(other), 7, None]}))
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
