"""`mammotrend check`: what it prints, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.loopback import serve
from tests.cds.pacs.archives import listing
from tests.cds.test_cli import run, settings_file

pytestmark = pytest.mark.usefixtures("logging_as_found")


def test_what_fails_is_told_with_its_mend_and_the_status_says_so(tmp_path: Path) -> None:
    status, out, _ = run("check", "--no-model", "--config", settings_file(tmp_path))

    assert status == 1
    lines = out.splitlines()
    (server,) = [number for number, line in enumerate(lines) if "EHR main: server" in line]
    assert "FAILED" in lines[server]
    assert "Mend: see its fhir_server" in lines[server + 1]


def test_settings_that_cannot_be_read_are_the_one_failure(tmp_path: Path) -> None:
    status, out, err = run("check", "--config", tmp_path / "none.toml")

    assert (status, err) == (1, "")
    assert "'none.toml' cannot be read" in out
    assert "database" not in out


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ('[night]\ncron = "0 25 * * *"\n', 0o600, "night.cron"),
        ("", 0o646, "the settings file: every user"),
    ],
)
@pytest.mark.parametrize(("command", "ends_with"), [("check", 1), ("serve", 2), ("worker", 2)])
def test_what_the_processes_refuse_the_check_refuses_and_the_other_way_round(
    command: str, ends_with: int, text: str, mode: int, said: str, tmp_path: Path
) -> None:
    file = settings_file(tmp_path, text)
    file.chmod(mode)

    status, out, err = run(command, *(["--no-model"] if command == "check" else []), "--config", file)

    assert status == ends_with
    assert said in out + err


def test_a_site_where_everything_works_ends_with_status_0(tmp_path: Path) -> None:
    with serve(fhir_app(ResourceStore(), ["a-token"])) as fhir_server, serve(listing([])) as archive:
        file = settings_file(
            tmp_path, f'[[pacs]]\nname = "main"\ndicomweb_root = "{archive}"\n[service]\ntrust = "demo"\n'
        )
        file.write_text(file.read_text().replace("http://127.0.0.1:9/fhir", fhir_server))
        status, out, _ = run("check", "--config", file)

    assert status == 0, out
    assert "FAILED" not in out
    assert "passed on" in out
