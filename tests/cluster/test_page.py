"""The commands of docs/cluster.md: three nodes on this machine, of which one says that it has a GPU, score a site."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from cds.demo.hospital import ARCHIVE_USER, open_hospital
from cds.demo.resources import patient
from model.phantom import dicom_images
from tests.cluster.nodes import node_settings, phantoms
from tests.docs.pages import commands_in_blocks
from tests.product import Product
from tests.servers import READY_S, free_port, running

pytestmark = pytest.mark.slow

COMMANDS = [one.command for one in commands_in_blocks() if one.page == "cluster.md" and one.command.startswith("ray ")]
EXAMS = phantoms(7_400_001, 4)
WORKER = """\
database_url = "sqlite:///site.sqlite"
[service]
trust = "demo"
[[ehrs]]
name = "main"
fhir_server = "{fhir_server}"
mode = "silent"
access_token_file = "ehr-token"
[cluster]
address = "127.0.0.1:{port}"
fetchers = 2
"""


def here(command: str, folder: Path, port: int) -> list[str]:
    """A command of the page for a small machine: its addresses, folder and sizes are this one's."""
    for found, instead in {
        r"10\.1\.0\.\d": "127.0.0.1",
        r"\b6379\b": str(port),
        r"/var/lib/mammotrend/ray": str(folder / "ray"),
        r"--num-cpus=\d+": "--num-cpus=1",
        r"--num-gpus=[1-9]\d*": "--num-gpus=1",
        r"--object-store-memory=\d+": f"--object-store-memory={256 << 20}",
    }.items():
        command = re.sub(found, instead, command)
    program, *words = shlex.split(command)
    return [str(Path(sys.executable).with_name(program)), *words]


def wait_until_started(folder: Path, process: subprocess.Popen[bytes]) -> None:
    log, ends = folder / "server.log", time.monotonic() + READY_S
    while "Ray runtime started" not in log.read_text(errors="replace"):
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < ends, log.read_text(errors="replace")
        time.sleep(0.1)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for sockets below it."""
    with tempfile.TemporaryDirectory(prefix="mt-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def start(commands: Sequence[str], folder: Path, port: int, running_nodes: ExitStack) -> None:
    for number, command in enumerate(commands):
        place = folder / f"node-{number}"
        place.mkdir()
        process = running_nodes.enter_context(running(here(command, folder, port), place))
        wait_until_started(place, process)


def test_the_nodes_of_the_page_score_a_site_and_let_nobody_in_without_their_token(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, product = free_port(), Product(folder)
    (folder / "ray-token").write_text("0123456789abcdef" * 4)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(folder / "ray-token"))
    starts = [command for command in COMMANDS if command.startswith("ray start")]
    with ExitStack() as nodes, open_hospital(folder / "images") as hospital:
        for number, exam in enumerate(EXAMS):
            hospital.charts.put(patient(f"woman-{number}", "Ada", None, {exam.patient_id}))
            hospital.receive(f"woman-{number}", list(dicom_images(exam)))
        write_secret(folder / "ehr-token", hospital.token)
        write_secret(folder / "archive-password", hospital.archive_password)
        node = node_settings(folder, hospital.dicomweb_root)
        credentials = f'username = "{ARCHIVE_USER}"\npassword_file = "{folder / "archive-password"}"\n[imaging]'
        node.write_text(node.read_text().replace("[imaging]", credentials))
        top, pacs = node.read_text().split("[[pacs]]")
        worker = WORKER.format(fhir_server=hospital.fhir_server, port=port)
        product.settings.write_text(f"{top}{worker}[[pacs]]{pacs}engine = 'ray'\n")
        monkeypatch.setenv("MAMMOTREND_CONFIG", str(node))
        start(starts, folder, port, nodes)

        assert product.run("rescore") == 0
        (status,) = [here(command, folder, port) for command in COMMANDS if command not in starts]
        assert "3.0 CPU" in looked(status)
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        assert "AuthenticationError" in looked(status)

    (said,) = product.logs.values()
    assert "a cluster of 3 nodes, 3 cores and 1 GPUs: 1 scorers, 2 exams under way" in said
    assert f"Scored {len(EXAMS)}, refused 0, failed 0" in said


def looked(status: list[str]) -> str:
    ended = subprocess.run(status, capture_output=True, text=True, check=False)  # noqa: S603 # of the page
    return ended.stdout + ended.stderr


def write_secret(file: Path, secret: str) -> None:
    file.touch(mode=0o600)
    file.write_text(secret)


def test_of_the_page_nodes_of_each_kind_are_started_and_looked_at() -> None:
    assert [command.split()[1] for command in COMMANDS] == ["start", "start", "start", "status"]
