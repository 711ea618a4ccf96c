"""The sheet of a model: its own file and the site's studies side by side, and what could not be looked at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cds.attribute_sheet import AttributeSheet, as_json, attribute_sheet
from cds.errors import ModelNotUsable
from model.card import DEMO_MODEL, read_card
from model.source_attributes import ATTRIBUTES, FILE_NAME
from tests.cds.study.summary_files import put_study
from tests.cds.test_cli import run

CARD = read_card(DEMO_MODEL)


def sheet(studies: Path | None = None, folder: Path = DEMO_MODEL) -> AttributeSheet:
    return attribute_sheet(folder, CARD, studies)


def test_all_thirty_one_are_there_in_the_order_of_the_regulation() -> None:
    assert [row.attribute for row in sheet().rows()] == list(ATTRIBUTES.values())


def test_what_the_file_tells_and_what_the_studies_say_stand_together(tmp_path: Path) -> None:
    put_study(tmp_path, "drift", CARD.version.key)

    rows = {row.attribute.key: row for row in sheet(tmp_path).rows()}

    watch = rows["maintenance.validity_watch"]
    assert watch.told is not None
    assert watch.local[0].startswith("At this site, study of 2026-04-02: ")
    assert rows["maintenance.local_fairness"].is_available is False


def test_a_study_alone_makes_an_attribute_available(tmp_path: Path) -> None:
    put_study(tmp_path, "calibrate", CARD.version.key)

    (row,) = [row for row in sheet(tmp_path).rows() if row.attribute.key == "maintenance.local_validity"]

    assert (row.told, row.is_available) == (None, True)


def test_a_folder_of_studies_that_cannot_be_read_is_said_and_the_rest_shown(tmp_path: Path) -> None:
    found = sheet(tmp_path / "nowhere")

    assert found.problem.startswith("the folder of studies cannot be read (FileNotFoundError)")
    assert any(row.told for row in found.rows())


def test_a_broken_file_shows_nothing_rather_than_half(tmp_path: Path) -> None:
    shutil.copyfile(DEMO_MODEL / FILE_NAME, tmp_path / FILE_NAME)
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write("[details.price]\nabsent = true\n")

    with pytest.raises(ModelNotUsable, match=r"no such attribute: details\.price"):
        sheet(folder=tmp_path)


def test_as_json_what_is_not_available_is_null(tmp_path: Path) -> None:
    put_study(tmp_path, "drift", None)

    said = as_json(sheet(tmp_path))

    assert (said["model"], said["version"]) == ("phantom-demo", CARD.version.key)
    attributes = said["attributes"]
    assert isinstance(attributes, list)
    assert len(attributes) == 31
    assert attributes[1] == {
        "key": "details.funding",
        "paragraph": "(1)(ii)",
        "group": "Details and output of the intervention",
        "title": "Funding source of the technical implementation for the intervention(s) development",
        "text": None,
        "source": None,
        "at_this_site": [],
    }
    assert said["studies_not_used"] == [
        "'drift': a drift study of 2026-04-02 that does not name the model of its scores"
    ]
    assert said["studies_not_read"] is None


@pytest.mark.slow
@pytest.mark.usefixtures("logging_as_found")
def test_what_the_studies_write_is_what_the_sheet_reads(tmp_path: Path) -> None:
    file, studies = tmp_path / "cohort.csv", tmp_path / "studies"
    assert run("study", "simulate", file, "--women", 1000, "--cancers", 300, "--exams", 3000)[0] == 0
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([f"{header},model", *(f"{row},{CARD.version.key}" for row in rows)]) + "\n")

    for study in (("impact", "--capacity", 2), ("repeatability",), ("drift",), ("discrimination",), ("calibrate",)):
        assert run("study", "--cohort", file, "--output", studies / study[0], *study)[::2] == (0, "")

    found = sheet(studies)
    assert (found.unused, found.problem) == ((), "")
    assert {row.attribute.key: len(row.local) for row in found.rows() if row.local} == {
        "maintenance.validity_watch": 1,
        "maintenance.local_validity": 4,
        "maintenance.local_fairness": 1,
    }
