from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from cds.cli import app
from cds.commands.study import model_of_scores
from cds.errors import StudyNotPossible
from cds.settings import Settings
from cds.study.cohorts.simulated import write_simulated
from model.calibration_file import read_calibration
from model.card import DEMO_MODEL, read_card
from tests.cds.study.landmarks import cohort_by_chance

pytestmark = pytest.mark.usefixtures("logging_as_found")


def asked(folder: Path, *words: str, women: int = 3000, risk: float = 0.06) -> Result:
    """What `mammotrend study` does with a file of women by chance."""
    write_simulated(cohort_by_chance(1, women, factor=2.0, risk=risk), folder / "exams.csv")
    of = ["study", "--cohort", str(folder / "exams.csv"), "--scores-in", "percent", "--output", str(folder / "report")]
    return CliRunner().invoke(app, [*of, *words])


def test_a_calibrator_is_written_for_the_model_and_shown_with_its_card(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    done = asked(tmp_path, "calibrate", "--write", str(file), "--name", "clinic-2026", "--for-model", DEMO_MODEL.name)
    assert done.exit_code == 0, done.output
    written = read_calibration(file)
    assert (written.version, written.model) == ("clinic-2026", read_card(DEMO_MODEL).version.key)
    assert json.loads((tmp_path / "report" / "summary.json").read_text())["calibrator"] is not None
    settings = tmp_path / "site.toml"
    settings.write_text(f'[scoring]\ncalibration = "{file}"\n')
    shown = CliRunner().invoke(app, ["model", "card", DEMO_MODEL.name, "--config", str(settings)])
    assert json.loads(shown.output)["calibration"]["site"]["version"] == "clinic-2026"


@pytest.mark.parametrize(
    "words", [("calibrate", "--write", "{}/calibration.json", "--for-model", DEMO_MODEL.name), ("discrimination",)]
)
@pytest.mark.parametrize("until", ["nothing", "last exam", "nothing for three in ten"])
def test_a_follow_up_that_is_not_told_or_is_the_last_exam_gives_neither_a_ratio_nor_a_calibrator(
    until: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    """Who has no diagnosis would else be followed to her last exam, and who has one to it however late it came."""
    made = cohort_by_chance(1, 3000, factor=2.0, risk=0.06)
    told = {
        "nothing": pd.Series(pd.NaT, made.women.index),
        "last exam": made.exams.groupby("patient")["exam_date"].max(),
        "nothing for three in ten": made.women["last_follow_up"].where(made.women.index % 10 > 2),
    }[until]
    write_simulated(replace(made, women=made.women.assign(last_follow_up=told)), tmp_path / "exams.csv")
    of = ["study", "--cohort", f"{tmp_path}/exams.csv", "--scores-in", "percent", "--output", f"{tmp_path}/report"]

    done = CliRunner().invoke(app, [*of, *(word.format(tmp_path) for word in words)])

    assert (done.exit_code, "column last_follow_up" in done.stderr) == (2, True)
    assert not (tmp_path / "calibration.json").exists()
    assert not any((tmp_path / "report").iterdir())


def test_without_write_only_the_report_is_made(tmp_path: Path) -> None:
    assert asked(tmp_path, "calibrate").exit_code == 0
    assert {file.name for file in tmp_path.iterdir()} == {"exams.csv", "report"}


def test_too_few_diagnoses_leave_no_file(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    words = ("calibrate", "--write", str(file), "--for-model", DEMO_MODEL.name)
    done = asked(tmp_path, *words, women=900, risk=0.04)
    assert done.exit_code == 2
    assert "needs 100" in done.stderr
    assert not file.exists()
    assert (tmp_path / "report" / "report.html").is_file(), "which needs no calibrator"


def test_women_who_do_not_exist_give_a_calibrator_to_the_demos_model_alone(tmp_path: Path) -> None:
    file, card = tmp_path / "calibration.json", tmp_path / "real" / "card.json"
    shutil.copytree(DEMO_MODEL, tmp_path / "real")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"name": "another-model"}))

    refused = asked(tmp_path, "calibrate", "--write", str(file), "--for-model", str(tmp_path / "real"))

    assert (refused.exit_code, file.exists()) == (2, False)
    assert "nobody is in this cohort" in refused.stderr
    assert asked(tmp_path, "calibrate", "--write", str(file), "--for-model", DEMO_MODEL.name).exit_code == 0
    assert read_calibration(file).fitted["cohort"] == "simulated"


def test_only_a_calibration_is_replaced_by_one(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.csv"
    file.write_text("the site's own")

    done = asked(tmp_path, "calibrate", "--write", str(file), "--for-model", DEMO_MODEL.name)

    assert done.exit_code == 2
    assert "'outcomes.csv' is there already and is no calibration" in done.stderr
    assert file.read_text() == "the site's own"


def test_a_file_of_scores_needs_the_name_of_their_model(tmp_path: Path) -> None:
    done = asked(tmp_path, "calibrate", "--write", str(tmp_path / "calibration.json"))
    assert done.exit_code == 2
    assert "--for-model" in done.stderr


def test_scores_of_another_model_or_calibrated_already_get_no_calibrator() -> None:
    key = read_card(DEMO_MODEL).version.key
    assert model_of_scores(Settings(), key, None) == key
    for said in ("mirai/0123456789ab/minmax-v1/mirai-v0.8.0-01234567", f"{key}+clinic-2026-01234567"):
        with pytest.raises(StudyNotPossible, match="the scores are of the model version"):
            model_of_scores(Settings(), said, None)


def test_discrimination_tells_the_c_index(tmp_path: Path) -> None:
    done = asked(tmp_path, "discrimination", "--samples", "100", women=1500, risk=0.05)
    assert done.exit_code == 0, done.output
    assert re.search(r"c-index of the score is 0\.\d{3} \(0\.\d{3} to 0\.\d{3}\)", done.output)
