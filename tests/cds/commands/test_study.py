"""The commands `mammotrend study ...`: what they read, what they write, how they end."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest

from cds.commands.study import ADD_LIBRARIES, LIBRARIES
from tests.cds.test_cli import run, settings_file
from tests.servers import CHECKOUT

pytestmark = pytest.mark.usefixtures("logging_as_found")

SMALL = ("--women", 1000, "--cancers", 300, "--exams", 3000)


def test_a_study_of_a_file_writes_its_report_and_says_where(tmp_path: Path) -> None:
    file, folder = tmp_path / "cohort.csv", tmp_path / "report"
    assert run("study", "simulate", file, *SMALL) == (0, "", "")

    status, out, _ = run("study", "--cohort", file, "--output", folder, "trajectories")

    assert (status, f"The report: {folder / 'report.html'}" in out) == (0, True)
    assert json.loads((folder / "summary.json").read_text())["cancer_women"] == 300
    assert (folder / "slopes.csv").read_text().startswith("group,years,points a year")
    page = (folder / "report.html").read_text()
    assert "95 % interval" in page
    assert "from the file &#39;cohort.csv&#39;" in page
    assert "Simulated: nobody is in this cohort" in page
    assert "http" not in page.replace("http://www.w3.org/", "")


@pytest.mark.parametrize(
    "study",
    [
        ("impact", "--capacity", 2, "--threshold", 3),
        ("repeatability", "--within-days", 60),
        ("drift",),
        ("discrimination", "--samples", 100),
        ("calibrate",),
    ],
    ids=lambda study: study[0],
)
def test_every_study_has_its_command_whose_report_is_of_the_same_women(
    study: tuple[str | int, ...], tmp_path: Path
) -> None:
    file, folder = tmp_path / "cohort.csv", tmp_path / "report"
    run("study", "simulate", file, *SMALL)

    status, out, err = run("study", "--cohort", file, "--output", folder, *study)

    assert (status, err, "The report: " in out) == (0, "", True)
    assert "read: 1000 women, 3000 exams" in (folder / "report.html").read_text()
    assert json.loads((folder / "summary.json").read_text())["study"] == study[0]


@pytest.mark.parametrize("page", ["README.md", "docs/studies.md"])
def test_the_libraries_are_added_by_the_line_that_the_documentation_has(page: str) -> None:
    assert f"`{ADD_LIBRARIES}`" in (CHECKOUT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("study", ["trajectories", "discrimination", "calibrate"])
def test_a_study_of_what_became_of_women_needs_to_be_told_that(study: str) -> None:
    status, _, err = run("study", study)

    assert (status, "--cohort" in err, "--outcomes" in err) == (2, True, True)


@pytest.mark.parametrize("study", [("impact", "--capacity", 2), ("repeatability",), ("drift",)], ids=lambda one: one[0])
def test_a_study_of_scores_alone_is_of_the_whole_store(study: tuple[str | int, ...], tmp_path: Path) -> None:
    file = settings_file(tmp_path)
    status, _, err = run("study", "--config", file, *study)
    assert (status, "there is no database" in err) == (2, True)

    run("db", "upgrade", "--config", file)
    status, _, err = run("study", "--config", file, *study)
    assert (status, "the store has no exam yet" in err) == (2, True)


def test_what_a_file_lacks_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cohort.csv").write_text("patient,score\nJane Doe,2\n")

    status, _, err = run("study", "--cohort", tmp_path / "cohort.csv", "trajectories")

    assert (status, err.count("\n"), "lacks the columns: exam_date" in err) == (2, 1, True)


def test_a_study_of_the_store_reads_the_sites_settings(tmp_path: Path) -> None:
    (tmp_path / "outcomes.csv").write_text("patient,diagnosis_date,last_follow_up\np1,,\n")

    file = settings_file(tmp_path)
    run("db", "upgrade", "--config", file)
    status, _, err = run("study", "--outcomes", tmp_path / "outcomes.csv", "--config", file, "trajectories")

    assert (status, "the store has no exam yet" in err) == (2, True)


def test_a_summary_says_which_study_it_is_and_of_which_models_scores(tmp_path: Path) -> None:
    file, folder = tmp_path / "cohort.csv", tmp_path / "report"
    run("study", "simulate", file, *SMALL)

    def origin() -> list[str | None]:
        assert run("study", "--cohort", file, "--output", folder, "drift")[0] == 0
        said = json.loads((folder / "summary.json").read_text())
        assert date.fromisoformat(said["made_on"])
        return [said["study"], said["model"]]

    assert origin() == ["drift", None]
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([f"{header},model", *(f"{row},a-model" for row in rows)]) + "\n")
    assert origin() == ["drift", "a-model"]


def test_a_file_and_the_store_are_not_studied_together(tmp_path: Path) -> None:
    status, _, err = run("study", "--cohort", tmp_path / "a.csv", "--outcomes", tmp_path / "b.csv", "trajectories")

    assert (status, "name one of them" in err) == (2, True)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "cohort.csv"
    run("study", "simulate", file, *SMALL)

    for words in (
        ("simulate", tmp_path / "none" / "cohort.csv", *SMALL),
        ("--cohort", file, "--output", file, "drift"),
    ):
        status, _, err = run("study", *words)
        assert (status, err.count("\n"), "written" in err) == (2, 1, True)


def test_days_to_come_are_refused_by_every_study(tmp_path: Path) -> None:
    (tmp_path / "cohort.csv").write_text("patient,exam_date,score,last_follow_up\np1,2020-01-01,2,2099-12-31\n")

    status, _, err = run("study", "--cohort", tmp_path / "cohort.csv", "--output", tmp_path / "report", "drift")

    assert (status, "column last_follow_up: days after today" in err, "p1" in err) == (2, True, False)


def test_no_file_that_is_there_becomes_a_simulated_cohort(tmp_path: Path) -> None:
    (tmp_path / "cohort.csv").write_text("the site's own")

    status, _, err = run("study", "simulate", tmp_path / "cohort.csv", *SMALL)

    assert (status, err.count("\n"), "name another file" in err) == (2, 1, True)
    assert (tmp_path / "cohort.csv").read_text() == "the site's own"


def test_a_report_does_not_replace_the_file_that_it_is_made_of(tmp_path: Path) -> None:
    file = tmp_path / "months.csv"
    run("study", "simulate", file, *SMALL)
    before = file.read_text()

    status, _, err = run("study", "--cohort", file, "--output", tmp_path, "drift")

    assert (status, "'months.csv' in the folder of --output" in err) == (2, True)
    assert (file.read_text(), [one.name for one in tmp_path.iterdir()]) == (before, ["months.csv"])


@pytest.mark.parametrize("name", LIBRARIES)
def test_without_a_library_of_the_extra_it_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)

    status, _, err = run("study", "drift")

    assert (status, err.count("\n"), ADD_LIBRARIES in err) == (2, 1, True)


def test_the_libraries_looked_for_are_those_of_the_extra() -> None:
    extra = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["study"]
    named = {re.split("[^a-z-]", one)[0].replace("scikit-learn", "sklearn") for one in extra}

    assert named == {*LIBRARIES}
