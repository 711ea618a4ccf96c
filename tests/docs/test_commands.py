"""Every command of the documentation is run here, or is on the list of those that are not, with the reason."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cds.cli import app
from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.loopback import serve
from cds.study.cohorts.simulated import simulated_cohort, write_simulated
from model.card import DEMO_MODEL
from model.phantom import PhantomExam, dicom_images, file_bytes
from tests.docs.pages import commands_in_blocks, commands_in_texts
from tests.servers import CHECKOUT, left_out

pytestmark = pytest.mark.usefixtures("logging_as_found")

CHANGES_THE_MACHINE = "it changes the machine, for good"
NOT_RUN = {
    "make demo": "tests/cds/demo/test_story.py runs the demo",
    "make test": "it is what runs this test",
    "mammotrend serve": "it does not end by itself; tests/cds/test_cli.py runs it",
    "mammotrend worker": "it does not end by itself; tests/cds/test_cli.py runs it",
    "ray": "it needs a cluster; tests/cluster/test_page.py starts one by these commands",
    "curl": "it asks a service that runs; tests/cds/web/test_health.py and test_metrics.py ask one",
    "mammotrend model import": "the published release is not here; tests/model/release runs it on files of its form",
    "mammotrend audit verify --expect": "that head is invented; tests/cds/commands/test_audit.py runs it with another",
    "mammotrend rescore --model mirai-v0.9.0": "it is not published; tests/cds/nightly/test_rescore.py runs another",
    "mammotrend study --outcomes": "it needs a store with scores; tests/cds/study/cohorts/test_stored.py has one",
    "(umask": "it needs that database; tests/deploy/test_backup.py copies another",
    "mv": "it needs that database; tests/deploy/test_backup.py puts back another",
    "pg_dump": "it needs that database; tests/cds/store/test_archived_copy.py copies another",
    "runuser -u postgres": "it needs that server; tests/cds/store/test_database.py makes role and database on another",
    "useradd": CHANGES_THE_MACHINE,
    "install": CHANGES_THE_MACHINE,
    "cp": CHANGES_THE_MACHINE,
    "ln": CHANGES_THE_MACHINE,
    "python3 -m venv /opt/mammotrend": CHANGES_THE_MACHINE,
    "/opt/mammotrend/bin/pip": CHANGES_THE_MACHINE,
    "systemctl": CHANGES_THE_MACHINE,
}
"""How commands begin that are not run, and why."""

ENDS_WITH = {
    "mammotrend audit export": 2,  # nothing was done with the data of that patient
    "mammotrend rescore --patient": 2,  # nor is she one of this site
    "mammotrend check": 1,  # this EHR has no keys, and no token is asked for
    "mammotrend model verify mirai-v0.8.0 --exam": 1,  # what stands for Mirai here has other risks
    "mammotrend model verify mirai-v0.8.0 --precision bf16": 1,  # nor may it be computed less exactly
}
"""The exit status where it is not 0, by how a command begins."""

SETTINGS = """\
database_url = "sqlite:///site.sqlite"
models_folder = "models"
[[ehrs]]
name = "main"
fhir_server = "{fhir_server}"
access_token_file = "token"
[[pacs]]
name = "main"
dicomweb_root = "{dicomweb_root}"
[scoring]
device = "cpu"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a site without patients, where the files lie that the pages speak of."""
    folder = tmp_path_factory.mktemp("site")
    for exam in ("exam", "film", "demo"):
        (folder / exam).mkdir()
        for number, image in enumerate(
            dicom_images(PhantomExam(9_000_001, date(2026, 5, 3), 0.5, rows=512, columns=416))
        ):
            (folder / exam / f"{number}.dcm").write_bytes(file_bytes(image))
    shutil.copytree(DEMO_MODEL, folder / "models" / "mirai-v0.8.0")
    write_simulated(simulated_cohort(1, 2000, 300, 6000), folder / "cohort.csv")
    (folder / "token").write_text("a-token")
    (folder / "token").chmod(0o600)
    hospital, archive = fhir_app(ResourceStore(), ["a-token"]), dicomweb_app(DicomFolder(folder / "images"))
    with serve(hospital) as fhir_server, serve(archive) as dicomweb_root:
        written = SETTINGS.format(fhir_server=fhir_server, dicomweb_root=dicomweb_root)
        (folder / "mammotrend.toml").write_text(written)
        yield folder


def begins(command: str, table: dict[str, str] | dict[str, int]) -> str | None:
    """The entry of a table that a command begins with, word by word; of several the longest."""
    fitting = [start for start in table if f"{command} ".startswith(f"{start} ")]
    return max(fitting, key=len, default=None)


def arguments(command: str, folder: Path) -> list[str]:
    """A command's words as a shell would make them of it there; where its output goes is left out."""
    words = shlex.split(command.partition(" > ")[0].replace("/etc/mammotrend/", ""))
    return [
        str(file)
        for word in words
        for file in (sorted(path.relative_to(folder) for path in folder.glob(word)) if "*" in word else [word])
    ]


# In the order of the pages: one may make what the next one needs.
WRITTEN = list(dict.fromkeys(written.command for written in commands_in_blocks()))
RUN = [command for command in WRITTEN if begins(command, NOT_RUN) is None]


@pytest.mark.parametrize("command", RUN)
def test_it_does_what_it_should(command: str, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site)
    program, *rest = arguments(command, site)
    if program == "mammotrend":
        monkeypatch.setenv("MAMMOTREND_CONFIG", "mammotrend.toml")  # where a page leaves --config out
        result = CliRunner().invoke(app, rest)
        status, said = result.exit_code, result.output
    else:
        status, said = _ran(program, rest, CHECKOUT if program == "make" else site)

    expected = begins(command, ENDS_WITH)
    assert status == (ENDS_WITH[expected] if expected else 0), said
    assert "Traceback" not in said


def _ran(program: str, rest: list[str], folder: Path) -> tuple[int, str]:
    assert program in ("make", "openssl"), "neither run here nor on the list of those that are not"
    found = shutil.which(program)
    if found is None:
        left_out(f"{program} is not installed: sudo apt-get install {program}")
    ended = subprocess.run([found, *rest], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 # on a page of ours
    return ended.returncode, ended.stdout + ended.stderr


def test_what_is_not_run_stands_on_a_page() -> None:
    assert [start for start in NOT_RUN if not any(begins(command, {start: ""}) for command in WRITTEN)] == []
    assert [start for start in ENDS_WITH if not any(begins(command, {start: 0}) for command in RUN)] == []


@pytest.mark.parametrize(
    "command", sorted({written.command for written in (*commands_in_blocks(), *commands_in_texts())})
)
def test_its_name_and_its_options_are_known(command: str) -> None:
    words = shlex.split(command.partition(" > ")[0])
    if words[0] == "mammotrend":
        assert unknown(words[1:]) == []
    elif words[0] == "make":
        targets = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
        assert all("=" in word or f"\n{word}:" in targets for word in words[1:])


def unknown(words: list[str]) -> list[str]:
    """The words of a call of ours that no `--help` knows; a group of commands may have options before their names."""
    found: Any = typer.main.get_command(app)
    strange, rest = [], iter(words)
    for word in rest:
        if word.startswith("--"):
            option = next(
                (one for one in found.params if word.partition("=")[0] in (*one.opts, *one.secondary_opts)), None
            )
            if option is None:
                strange.append(word)
            elif not option.is_flag and "=" not in word:
                next(rest, None)
        elif hasattr(found, "commands"):
            if word not in found.commands:
                return [word]
            found = found.commands[word]
    return strange


def test_an_unknown_command_and_an_unknown_option_are_found() -> None:
    assert unknown(["model", "sell"]) == ["sell"]
    assert unknown(["rescore", "--until", "2026-01-01"]) == ["--until"]
    assert unknown(["audit", "verify"]) == []
    assert unknown(["study", "--output", "drift", "--sell=x", "trajectories"]) == ["--sell=x"]


def test_of_several_entries_the_longest_counts() -> None:
    assert begins("make demo-all", {"make demo": ""}) is None
    assert begins("make demo x", {"make": "", "make demo": ""}) == "make demo"
