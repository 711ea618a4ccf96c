from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from cds.cli import app
from cds.errors import ModelNotUsable
from cds.scoring.site_scorer import site_scorer
from cds.settings import read_settings
from model.card import CARD_NAME, DEMO_MODEL, WEIGHTS_NAME, read_card, write_card
from model.checkpoint import load_network
from model.phantom import PhantomExam, dicom_images, file_bytes
from model.preprocessing import PictureFormat
from model.self_check import expected_risks
from model.source_attributes import FILE_NAME as ATTRIBUTES_NAME
from model.source_attributes import read_source_attributes
from tests.cds.study.summary_files import put_study
from tests.model.release.mirai_files import random_network, save_old_calibrator, save_release
from tests.model.tiny_model import TINY, install_sensitive_model, install_tiny_model

pytestmark = pytest.mark.usefixtures("logging_as_found")


def run(*arguments: object) -> tuple[int, str, str]:
    """Status, standard output and standard error of `mammotrend model`."""
    result = CliRunner().invoke(app, ["model", *(str(argument) for argument in arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A settings file whose models lie beside it."""
    file = tmp_path / "mammotrend.toml"
    file.write_text(f'models_folder = "{tmp_path / "models"}"\nmodel = "mirai"\n')
    return file


def install_mirai(folder: Path) -> None:
    """A tiny model that passes its self-check."""
    install_tiny_model(folder)
    network, card = load_network(folder, torch.device("cpu"))
    write_card(replace(card, self_check=expected_risks(network, PictureFormat(**card.picture))), folder)


def exam_files(folder: Path) -> list[Path]:
    """The files of a synthetic exam."""
    folder.mkdir()
    exam = PhantomExam(9_000_001, date(2026, 5, 3), 0.5, rows=512, columns=416)
    for number, image in enumerate(dicom_images(exam)):
        (folder / f"{number}.dcm").write_bytes(file_bytes(image))
    return sorted(folder.iterdir())


# import


@pytest.mark.slow
def test_a_release_of_unknown_checksums_is_imported_only_when_they_are_accepted(tmp_path: Path, config: Path) -> None:
    release = save_release(tmp_path / "snapshots", random_network(TINY))

    status, out, err = run("import", release, "--config", config)
    assert (status, out) == (2, "")
    assert err.startswith("mammotrend: no file has the published checksum")
    assert err.count("\n") == 1
    assert not (tmp_path / "models").exists()

    status, out, _ = run("import", release, "--accept-checksum", "--config", config)
    assert status == 0
    assert "Not for clinical use" in out
    (folder,) = (tmp_path / "models").iterdir()
    assert run("verify", folder.name, "--golden", "--config", config)[0] == 0


def test_a_release_with_an_old_calibrator_ends_with_what_to_download(tmp_path: Path, config: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    save_old_calibrator(tmp_path / "snapshots" / "calibrator.p")

    status, _, err = run("import", tmp_path / "snapshots", "--config", config)

    assert status == 2
    assert "download snapshots.zip of Mirai v0.8.0" in err


def test_a_release_that_is_not_there_ends_with_status_2(tmp_path: Path) -> None:
    assert run("import", tmp_path / "snapshots.zip")[0] == 2


# list and card


def test_the_installed_models_are_listed_and_the_one_in_use_is_marked(tmp_path: Path, config: Path) -> None:
    install_tiny_model(tmp_path / "models" / "mirai")
    install_tiny_model(tmp_path / "models" / "broken")
    (tmp_path / "models" / "broken" / CARD_NAME).write_text("{}")

    status, out, _ = run("list", "--config", config)

    demo, broken, mirai = out.splitlines()
    assert status == 0
    assert demo.startswith("  phantom-demo  not clinical, weights ")
    assert broken.startswith("  broken  cannot be used: ")
    assert mirai.startswith("* mirai  not clinical, weights ")


def test_a_card_is_printed_as_json(config: Path) -> None:
    status, out, _ = run("card", "phantom-demo", "--config", config)

    assert status == 0
    assert json.loads(out) == json.loads((DEMO_MODEL / CARD_NAME).read_text())


@pytest.mark.parametrize("command", ["card", "verify", "attributes"])
def test_a_model_that_is_not_installed_ends_in_one_line(command: str, config: Path) -> None:
    status, _, err = run(command, "nothing", "--config", config)

    assert status == 2
    assert err.startswith("mammotrend: 'nothing' is neither an installed model nor a model's folder")
    assert err.endswith(": see `mammotrend model list`\n")


# attributes


def test_the_source_attributes_of_the_sites_model_are_a_table(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    put_study(studies, "drift", read_card(DEMO_MODEL).version.key)
    put_study(studies, "calibrate", "another")
    file = tmp_path / "mammotrend.toml"
    file.write_text(f'[operations]\nstudies_folder = "{studies}"\n')

    status, out, _ = run("attributes", "--config", file)

    assert status == 0
    said = " ".join(out.replace("│", " ").split())
    assert said.count("not available") == 31 - len(read_source_attributes(DEMO_MODEL, DEMO_MODEL.name))
    for words in ("(1)(i) Name and contact", "(9)(ii) Description of frequency", "study of 2026-04-02", "Makefile"):
        assert words in said
    assert out.splitlines()[-1] == (
        "Not used: 'calibrate': a calibrate study of 2026-04-02 of the scores of another model version"
    )


def test_those_of_an_installed_model_are_its_folders_own(tmp_path: Path, config: Path) -> None:
    install_tiny_model(tmp_path / "models" / "mirai")

    status, out, _ = run("attributes", "mirai", "--json", "--config", config)

    assert status == 0
    said = json.loads(out)
    assert len(said["attributes"]) == 31
    assert [one for one in said["attributes"] if one["text"] or one["at_this_site"]] == []


def test_a_broken_file_of_attributes_ends_in_one_line(tmp_path: Path, config: Path) -> None:
    install_tiny_model(tmp_path / "models" / "mirai")
    (tmp_path / "models" / "mirai" / ATTRIBUTES_NAME).write_text("[details]")

    status, out, err = run("attributes", "--config", config)

    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "is of the model None" in err


# verify


def test_a_model_is_verified_by_the_built_in_exam(config: Path) -> None:
    status, out, _ = run("verify", "phantom-demo", "--golden", "--config", config)

    assert status == 0
    assert out.startswith("self-check passed on ")


def test_a_model_whose_card_promises_other_risks_fails(tmp_path: Path, config: Path) -> None:
    folder = tmp_path / "models" / "mirai"
    install_mirai(folder)
    card = read_card(folder)
    assert run("verify", "mirai", "--config", config)[0] == 0
    write_card(replace(card, self_check=(*card.self_check[:4], card.self_check[4] - 0.001)), folder)

    status, _, err = run("verify", "mirai", "--config", config)

    assert status == 2
    assert "no patient is scored here" in err


def test_a_model_with_altered_weights_fails(tmp_path: Path, config: Path) -> None:
    folder = tmp_path / "models" / "mirai"
    install_mirai(folder)
    weights = bytearray((folder / WEIGHTS_NAME).read_bytes())
    weights[-1] ^= 1
    (folder / WEIGHTS_NAME).write_bytes(weights)

    status, _, err = run("verify", "mirai", "--golden", "--config", config)

    assert status == 2
    assert "SHA-256" in err


def test_a_precision_is_checked_and_its_record_lets_the_worker_use_it(tmp_path: Path, config: Path) -> None:
    install_mirai(tmp_path / "models" / "mirai")
    config.write_text(config.read_text() + '[scoring]\ndevice = "cpu"\nprecision = "bf16"\n')
    with pytest.raises(ModelNotUsable, match="run: mammotrend model verify tiny --precision bf16"):
        site_scorer(read_settings(config))

    status, out, _ = run("verify", "mirai", "--precision", "bf16", "--config", config)

    assert status == 0
    assert out.startswith("accuracy check passed on cpu, bf16: largest difference from float32 0.0")
    assert "percentage points, 0.02 is allowed" in out
    assert str(site_scorer(read_settings(config)).processor) == "cpu, bf16"


def test_a_precision_that_moves_the_risks_too_far_ends_with_status_1(tmp_path: Path, config: Path) -> None:
    install_sensitive_model(tmp_path / "models" / "mirai")

    status, out, _ = run("verify", "mirai", "--precision", "bf16", "--config", config)

    assert status == 1
    assert out.startswith("accuracy check failed on ")


def test_of_tf32_on_a_cpu_it_is_said_that_it_changes_nothing(tmp_path: Path, config: Path) -> None:
    install_mirai(tmp_path / "models" / "mirai")
    config.write_text(config.read_text() + '[scoring]\ndevice = "cpu"\n')

    status, out, _ = run("verify", "mirai", "--precision", "tf32", "--config", config)

    assert status == 0
    assert out.startswith("TF32 changes nothing on a CPU")
    assert "largest difference from float32 0.0000 percentage points" in out


def test_of_float32_there_is_nothing_to_check(tmp_path: Path, config: Path) -> None:
    install_mirai(tmp_path / "models" / "mirai")

    assert "nothing to check" in run("verify", "mirai", "--precision", "float32", "--config", config)[1]
    assert run("verify", "mirai", "--precision", "float16", "--config", config)[0] == 2
    assert not (tmp_path / "models" / "accuracy").exists()


def test_the_records_of_checks_are_not_listed_as_models(tmp_path: Path, config: Path) -> None:
    install_mirai(tmp_path / "models" / "mirai")
    run("verify", "mirai", "--precision", "bf16", "--config", config)

    assert [line[2:].split()[0] for line in run("list", "--config", config)[1].splitlines()] == [
        "phantom-demo",
        "mirai",
    ]


def known_risks(files: list[Path]) -> list[float]:
    result = CliRunner().invoke(app, ["score", *map(str, files)])
    return list(json.loads(result.stdout)["risk_calibrated"].values())


def test_an_exam_of_known_risks_is_met_within_half_a_thousandth(tmp_path: Path) -> None:
    files = exam_files(tmp_path / "exam")
    known = known_risks(files)
    expected = ",".join(f"{risk:.4f}" for risk in known)

    status, out, _ = run("verify", "phantom-demo", "--exam", *files, "--expect", expected)
    assert status == 0
    assert "0.0005 is allowed" in out
    assert run("verify", "phantom-demo", "--exam", tmp_path / "exam", "--expect", expected)[0] == 0

    other = ",".join(f"{risk + 0.0006 * (year == 2):.5f}" for year, risk in enumerate(known))
    status, out, _ = run("verify", "phantom-demo", "--exam", *files, "--expect", other)
    assert status == 1
    assert f"expected {known[2] + 0.0006:.5f}" in out
    assert "largest difference 0.00060" in out


def test_an_exam_that_the_gate_refuses_is_not_verified(tmp_path: Path) -> None:
    files = exam_files(tmp_path / "exam")

    status, out, _ = run("verify", "phantom-demo", "--exam", *files[:3])

    assert status == 1
    assert "refused (missing-view)" in out


@pytest.mark.parametrize("expected", ["0.1", "0.1,0.2,0.3,0.4,many", "1,2,3,4,5", "", "nan,0,0,0,0"])
def test_expected_risks_that_are_not_five_fractions_are_refused(expected: str, tmp_path: Path) -> None:
    files = exam_files(tmp_path / "exam")

    status, _, err = run("verify", "phantom-demo", "--exam", *files, "--expect", expected)

    assert status == 2
    assert "--expect takes 5 fractions" in err


def test_expected_risks_without_an_exam_are_refused() -> None:
    status, _, err = run("verify", "phantom-demo", "--expect", "0.1,0.2,0.3,0.4,0.5")

    assert status == 2
    assert "--exam" in err


# the worker


@pytest.mark.parametrize("command", ["worker", "rescore"])
def test_a_failed_self_check_ends_the_command_with_status_2(command: str, tmp_path: Path) -> None:
    install_tiny_model(tmp_path / "model", self_check=(0.1, 0.2, 0.3, 0.4, 0.5))
    file = tmp_path / "mammotrend.toml"
    file.write_text(
        f'database_url = "sqlite:///{tmp_path / "site.sqlite"}"\nmodel = "{tmp_path / "model"}"\n'
        '[[ehrs]]\nname = "main"\nfhir_server = "http://127.0.0.1:9/fhir"\nmode = "research"\n'
        '[[pacs]]\nname = "main"\ndicomweb_root = "http://127.0.0.1:9"\n'
    )

    result = CliRunner().invoke(app, [command, "--config", str(file)])

    assert result.exit_code == 2
    assert result.stderr.startswith("mammotrend: 'tiny' gives risks on this machine")


def test_the_settings_name_a_model_of_the_models_folder(tmp_path: Path, config: Path) -> None:
    assert read_settings(config).model_folder == tmp_path / "models" / "mirai"
