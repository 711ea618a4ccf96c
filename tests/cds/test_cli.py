"""The command line: what it prints, and how it ends when something is wrong."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing
from typer.testing import CliRunner

from cds.cli import app
from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.loopback import serve
from model.card import DEMO_MODEL, read_card
from model.domain import STANDARD_VIEWS
from model.phantom import PhantomExam, dicom_images, file_bytes
from tests.builders import file_bytes as bytes_of
from tests.builders import imaging_study, mammogram
from tests.cds.builders import PATIENT, fhir_patient
from tests.cds.model_card import model_folder
from tests.model.tiny_model import install_tiny_model

pytestmark = pytest.mark.usefixtures("logging_as_found")

DAY = date(2026, 5, 3)
ACTIVE = 'responsible_person = "Dr. Demo"\n'


def run(*arguments: object) -> tuple[int, str, str]:
    """Status, standard output and standard error of a command in this process."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def settings_file(folder: Path, text: str = "", mode: str = "research", model: Path | None = None) -> Path:
    """A settings file of a site with one EHR."""
    file = folder / "mammotrend.toml"
    file.write_text(
        f'database_url = "sqlite:///{folder / "site.sqlite"}"\n'
        + (f'model = "{model}"\n' if model else "")
        + f'[[ehrs]]\nname = "main"\nfhir_server = "http://127.0.0.1:9/fhir"\nmode = "{mode}"\n{text}'
    )
    return file


def exam_files(folder: Path, **changes: Any) -> list[Path]:
    """The files of a synthetic exam."""
    exam = PhantomExam(9_000_001, DAY, 0.5, **({"rows": 512, "columns": 416} | changes))
    files = []
    for number, image in enumerate(dicom_images(exam)):
        files.append(folder / f"{number}.dcm")
        files[-1].write_bytes(file_bytes(image))
    return files


def test_the_program_says_its_version() -> None:
    assert run("--version")[:2] == (0, f"mammotrend {version('mammotrend')}\n")


# score


def test_a_local_exam_is_scored_and_printed_as_json(tmp_path: Path) -> None:
    status, out, _ = run("score", *exam_files(tmp_path))

    result, card = json.loads(out), read_card(DEMO_MODEL)
    assert status == 0
    assert result["model"] == {
        "name": card.name,
        "version": card.version.key,
        "clinical": False,
        "banner": card.banner,
    }
    assert (result["exam_date"], result["gate"], result["warnings"]) == ("2026-05-03", True, [])
    assert result["views"] == [str(view) for view in STANDARD_VIEWS]
    assert [image["view"] for image in result["images"]] == result["views"]
    assert all(len(image["sha256"]) == 64 for image in result["images"])
    assert result["computed_by"][1].startswith("mammotrend ")
    for kind in ("risk_calibrated", "risk_raw"):
        risks = list(result[kind].values())
        assert list(result[kind]) == [f"year_{year}" for year in range(1, 6)]
        assert risks == sorted(risks)
        assert 0.0 < risks[0] < risks[-1] < 1.0


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    files = exam_files(tmp_path)

    assert run("score", *files) == run("score", *reversed(files))


def test_an_exam_that_the_gate_refuses_is_printed_with_its_reasons_and_ends_with_status_1(tmp_path: Path) -> None:
    status, out, _ = run("score", *exam_files(tmp_path, views=STANDARD_VIEWS[:3]))

    result = json.loads(out)
    assert status == 1
    assert [reason["reason"] for reason in result["refused"]] == ["missing-view"]
    assert "R MLO" in result["refused"][0]["sentence"]
    assert "risk_calibrated" not in result


def test_without_the_gate_what_two_of_its_checks_would_have_said_of_an_image_is_said_once(tmp_path: Path) -> None:
    files = exam_files(tmp_path)
    for file in files:
        image = pydicom.dcmread(file)
        image.PresentationIntentType = "FOR PROCESSING"
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForProcessing
        image.save_as(file)

    warnings = json.loads(run("score", *files, "--no-gate")[1])["warnings"]

    assert len(warnings) == len(set(warnings)) == len(STANDARD_VIEWS)


def test_without_the_gate_what_it_would_have_refused_becomes_a_warning(tmp_path: Path) -> None:
    files = exam_files(tmp_path)
    for file in files:
        file.write_bytes(file.read_bytes().replace(b"FOR PRESENTATION", b"FOR PROCESSING  "))
    assert run("score", *files)[0] == 1

    status, out, _ = run("score", *files, "--no-gate")

    result = json.loads(out)
    assert (status, result["gate"]) == (0, False)
    assert any("gate off" in warning for warning in result["warnings"])


def test_a_unit_that_the_worker_refuses_is_refused_here_and_is_a_warning_without_the_gate(tmp_path: Path) -> None:
    files = exam_files(tmp_path)
    for file in files:
        image = pydicom.dcmread(file)
        image.Manufacturer = "ACME"
        image.save_as(file)
    config = tmp_path / "mammotrend.toml"
    config.write_text("refuse_unvalidated_devices = true\n")

    status, out, _ = run("score", *files, "--config", config)
    assert status == 1
    assert [reason["reason"] for reason in json.loads(out)["refused"]] == ["device-not-validated"]

    status, out, _ = run("score", *files, "--no-gate", "--config", config)
    assert status == 0
    assert "ACME" in json.loads(out)["warnings"][-1]


def test_a_model_that_fails_its_self_check_scores_nobody(tmp_path: Path) -> None:
    install_tiny_model(tmp_path / "model", self_check=(0.1, 0.2, 0.3, 0.4, 0.5))

    config = settings_file(tmp_path, model=tmp_path / "model")

    status, out, err = run("score", *exam_files(tmp_path), "--config", config)

    assert (status, out) == (2, "")
    assert "no patient is scored here" in err
    assert err.count("\n") == 1


def test_an_exam_is_scored_in_float32_whatever_the_worker_computes_in(tmp_path: Path) -> None:
    config = settings_file(tmp_path)
    with config.open("a") as settings:
        settings.write('[scoring]\ndevice = "cpu"\nprecision = "bf16"\n')

    status, out, _ = run("score", *exam_files(tmp_path), "--config", config)

    assert status == 0
    assert json.loads(out)["computed_by"][0] == "cpu"


@pytest.mark.parametrize("content", [b"", b"not DICOM", b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 200])
def test_a_file_that_is_not_dicom_ends_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "letter.txt"
    file.write_bytes(content)

    status, out, err = run("score", file)

    assert out == "" or json.loads(out)["refused"]
    assert status == (2 if out == "" else 1)
    assert err.count("\n") == (1 if out == "" else 0)


@pytest.mark.parametrize("kept", [200, 700, 1500, 5000])
def test_a_file_that_is_cut_short_is_never_scored(tmp_path: Path, kept: int) -> None:
    files = exam_files(tmp_path)
    files[1].write_bytes(files[1].read_bytes()[:kept])

    assert run("score", *files)[0] in (1, 2)


def test_a_file_that_is_not_there_ends_with_status_2(tmp_path: Path) -> None:
    status, _, err = run("score", tmp_path / "none.dcm")

    assert status == 2
    assert "does not exist" in " ".join(err.replace("│", " ").split())  # typer draws a box and breaks lines in it


def test_a_model_without_weights_ends_in_one_line(tmp_path: Path) -> None:
    image = tmp_path / "image.dcm"
    image.write_bytes(bytes_of(mammogram()))
    file = settings_file(tmp_path, model=model_folder(tmp_path / "model"))

    status, _, err = run("score", image, "--config", file)

    assert status == 2
    assert err.startswith("mammotrend: ")
    assert err.count("\n") == 1


# settings


@pytest.mark.parametrize("command", ["serve", "worker", "rescore"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[service]\nport = 99999\n", "service.port"),
        ('[[pacs]]\nname = "main"\ndicomweb_root = "http://127.0.0.1:9"\npassword = "hunter2"\n', "pacs.password_file"),
        ("[service\n", "not TOML"),
    ],
)
def test_wrong_settings_end_with_status_2_and_one_line(tmp_path: Path, command: str, text: str, said: str) -> None:
    status, out, err = run(command, "--config", settings_file(tmp_path, text))

    assert (status, out) == (2, "")
    assert err.startswith("mammotrend: ")
    assert said in err
    assert err.count("\n") == 1
    assert "hunter2" not in err


@pytest.mark.parametrize("command", ["serve", "worker", "rescore"])
def test_without_an_ehr_there_is_nobody_to_serve(command: str) -> None:
    status, _, err = run(command)

    assert status == 2
    assert "no EHR is configured" in err


@pytest.mark.parametrize("command", ["serve", "worker", "rescore"])
def test_active_mode_with_the_demo_model_is_refused(tmp_path: Path, command: str) -> None:
    status, _, err = run(command, "--config", settings_file(tmp_path, mode="active", text=ACTIVE))

    assert status == 2
    assert "not for clinical use" in err
    assert "refused for main" in err


@pytest.mark.parametrize("command", ["worker", "rescore"])
def test_without_an_archive_there_is_nothing_to_score(tmp_path: Path, command: str) -> None:
    status, _, err = run(command, "--config", settings_file(tmp_path))

    assert status == 2
    assert "[[pacs]]" in err


def test_a_wrong_hour_for_the_night_ends_the_worker_before_it_begins(tmp_path: Path) -> None:
    text = '[[pacs]]\nname = "main"\ndicomweb_root = "http://127.0.0.1:9"\n[night]\ncron = "at night"\n'

    status, _, err = run("worker", "--config", settings_file(tmp_path, text))

    assert status == 2
    assert "night.cron" in err


@pytest.mark.parametrize("command", ["serve", "worker", "rescore"])
def test_what_is_not_safe_is_refused_by_its_name(tmp_path: Path, command: str) -> None:
    status, _, err = run(command, "--config", settings_file(tmp_path, '[service]\npublic_url = "http://cds.example"\n'))

    assert status == 2
    assert err.startswith("mammotrend: the settings are not safe: service.public_url must begin with https")


@pytest.mark.parametrize("command", ["serve", "worker", "rescore"])
def test_a_database_that_does_not_answer_may_be_tried_again(tmp_path: Path, command: str) -> None:
    file = settings_file(tmp_path)
    sqlite, nobody = f"sqlite:///{tmp_path / 'site.sqlite'}", f"postgresql+pg8000://u@/d?unix_sock={tmp_path}/none"
    file.write_text(file.read_text().replace(sqlite, nobody))

    status, _, err = run(command, "--config", file)

    assert (status, err.count("\n")) == (75, 1)
    assert err.startswith("mammotrend: database_url: the database does not answer")


def test_a_port_that_is_taken_ends_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        # In a process of its own: waitress leaves the sockets that it could not use to the end of the process.
        process = start("serve", "--config", settings_file(tmp_path, f'[service]\nport = {port}\ntrust = "demo"\n'))
        _, err = process.communicate(timeout=60)

    assert process.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in err.decode()
    assert "Traceback" not in err.decode()


def test_rescoring_a_site_whose_ehr_is_down_says_so_and_ends_with_status_1(tmp_path: Path) -> None:
    text = '[[pacs]]\nname = "main"\ndicomweb_root = "http://127.0.0.1:9"\n'

    status, out, _ = run("rescore", "--config", settings_file(tmp_path, text))

    assert status == 1
    assert "Found 0 new exams. Scored 0," in out
    assert "Could not look: main: no connection to the EHR" in " ".join(out.split())


def test_rescoring_a_site_with_an_exam_that_stays_held_says_why_and_ends_with_status_1(tmp_path: Path) -> None:
    charts = ResourceStore()
    charts.put(fhir_patient())
    charts.put(imaging_study(PATIENT, "2026-05-03", "1.2.77", id="s1"))
    (tmp_path / "token").write_text("a-token")
    (tmp_path / "token").chmod(0o600)
    with serve(fhir_app(charts, ["a-token"])) as fhir_server:
        file = settings_file(tmp_path, '[[pacs]]\nname = "main"\ndicomweb_root = "http://127.0.0.1:9"\n')
        asking = f'fhir_server = "{fhir_server}"\naccess_token_file = "{tmp_path / "token"}"'
        file.write_text(file.read_text().replace('fhir_server = "http://127.0.0.1:9/fhir"', asking))

        status, out, _ = run("rescore", "--config", file)

    assert status == 1
    assert "Found 1 new exams. Scored 0, refused 0, failed 1; wrote 0 assessments. 1 still queued." in out
    assert "Held, 1: the archive at http://127.0.0.1:9 does not answer" in " ".join(out.split())
    assert "1.2.77" not in out


def test_rescoring_a_patient_whom_nobody_knows_ends_with_status_2(tmp_path: Path) -> None:
    text = '[[pacs]]\nname = "main"\ndicomweb_root = "http://127.0.0.1:9"\n'

    status, out, err = run("rescore", "--patient", "nobody", "--config", settings_file(tmp_path, text))

    assert (status, "Could not look: main" in " ".join(out.split())) == (2, True)
    assert "mammotrend: no exam is known of the patient of --patient" in err


def test_a_database_in_a_folder_that_is_not_there_is_refused_with_the_folders_name(tmp_path: Path) -> None:
    file = settings_file(tmp_path, '[[pacs]]\nname = "main"\ndicomweb_root = "http://127.0.0.1:9"\n')
    file.write_text(file.read_text().replace(str(tmp_path / "site.sqlite"), str(tmp_path / "nowhere" / "site.sqlite")))

    status, _, err = run("serve", "--config", file)

    assert (status, err) == (
        2,
        f"mammotrend: database_url: folder {str(tmp_path / 'nowhere')!r} does not exist; make it\n",
    )


@pytest.mark.parametrize("command", ["rescore", "db upgrade"])
def test_the_database_is_for_its_own_user_alone_whichever_command_makes_it(tmp_path: Path, command: str) -> None:
    text = '[[pacs]]\nname = "main"\ndicomweb_root = "http://127.0.0.1:9"\n'

    run(*command.split(), "--config", settings_file(tmp_path, text))

    assert (tmp_path / "site.sqlite").stat().st_mode & 0o777 == 0o600


# processes


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """A command in a process of its own."""
    command = [sys.executable, "-m", "cds.cli", *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)  # noqa: S603 - our own arguments


def end(process: subprocess.Popen[bytes], by: signal.Signals) -> tuple[int, str]:
    """Its status and what it logged after a signal."""
    process.send_signal(by)
    _, err = process.communicate(timeout=30)
    return process.returncode, err.decode()


def test_the_service_listens_on_loopback_and_answers(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    model = model_folder(tmp_path / "model")
    process = start(
        "serve", "--config", settings_file(tmp_path, f'[service]\nport = {port}\ntrust = "demo"\n', model=model)
    )
    try:
        services = wait_for(f"http://127.0.0.1:{port}/cds-services", process)
    finally:
        _, err = end(process, signal.SIGTERM)

    assert f"listening on 127.0.0.1, port {port}; main is research" in err
    assert [service["hook"] for service in services["services"]] == ["order-select", "order-sign", "patient-view"]


def wait_for(url: str, process: subprocess.Popen[bytes]) -> Any:
    """The JSON at an address, once it is there."""
    for _ in range(300):
        assert process.poll() is None, "it ended"
        try:
            return requests.get(url, timeout=5).json()
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError("it does not answer")


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_stop_ends_well(tmp_path: Path, by: signal.Signals) -> None:
    text = '[[pacs]]\nname = "main"\ndicomweb_root = "http://127.0.0.1:9"\n'
    file = settings_file(tmp_path, text)
    process = start("worker", "--config", file)
    assert process.stderr is not None
    lines = iter(process.stderr.readline, b"")
    assert any(b"scoring with" in line for line in lines), "it never was ready"

    status, err = end(process, by)

    assert status == 0, err
    assert "Traceback" not in err
