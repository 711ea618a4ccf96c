"""The systemd units: systemd takes them, and they agree with the program and its settings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cds.cli import app
from cds.commands.command_line import TRY_AGAIN, plain_errors
from cds.server import CANNOT_START
from cds.settings import PacsSettings, read_settings
from cds.web.connections import ConnectionLimits
from model.errors import DeviceBusy, DeviceFault, DeviceLost
from tests.docs.pages import commands_in_blocks
from tests.servers import CHECKOUT, left_out

UNITS = sorted((CHECKOUT / "deploy" / "systemd").glob("*.service"))
CONFIG = "/etc/mammotrend/mammotrend.toml"


def lines(unit: Path) -> dict[str, str]:
    """The settings of a unit; of one that stands there twice the last, as systemd has it for those that we look at."""
    return dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE))


def command(unit: Path) -> list[str]:
    return lines(unit)["ExecStart"].split()


def test_there_is_a_unit_for_each_process() -> None:
    assert [command(unit)[1] for unit in UNITS] == ["serve", "worker"]
    assert [unit.stem for unit in UNITS] == ["mammotrend-serve", "mammotrend-worker"]


def gpu_lines() -> str:
    """What the worker's unit says is to be added to it for a GPU."""
    commented = re.findall(r"^#   (.+)$", UNITS[1].read_text(encoding="utf-8"), re.MULTILINE)
    return "".join(f"{line}\n" for line in commented)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("unit", "added"), [*((unit, "") for unit in UNITS), (UNITS[1], gpu_lines())], ids=["serve", "worker", "with a GPU"]
)
def test_systemd_takes_it(unit: Path, added: str, tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        left_out("systemd is not installed: sudo apt-get install systemd")
    there = tmp_path / unit.name
    # It looks for the program, which here is somewhere else.
    there.write_text(unit.read_text(encoding="utf-8").replace(command(unit)[0], sys.executable), encoding="utf-8")
    if added:
        there.with_suffix(".service.d").mkdir()
        (there.with_suffix(".service.d") / "override.conf").write_text(added, encoding="utf-8")

    said = subprocess.run([verify, "verify", "--man=no", str(there)], capture_output=True, text=True, check=False)  # noqa: S603

    # It loads what the unit names, too; only what it says of ours counts.
    assert [line for line in said.stderr.splitlines() if unit.name in line] == []
    assert said.returncode == 0, said.stderr


def test_what_is_added_for_a_gpu_opens_its_devices_by_the_names_of_today_s_drivers_and_of_older_ones() -> None:
    assert lines(UNITS[1])["PrivateDevices"] == "yes"
    assert {"PrivateDevices=no", "DevicePolicy=closed"} < set(gpu_lines().splitlines())
    opened = re.findall(r"^DeviceAllow=char-([\w-]+) rw$", gpu_lines(), re.MULTILINE)
    assert {"nvidia", "nvidiactl", "nvidia-uvm", "nvidia-frontend"} < set(opened)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_program_knows_the_command(unit: Path) -> None:
    _, name, option, config = command(unit)

    shown = CliRunner().invoke(app, [name, "--help"])
    assert shown.exit_code == 0
    assert option in shown.output
    assert config == CONFIG


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_page_that_it_names_is_put_there_by_the_commands_of_the_installation(unit: Path) -> None:
    ((*copied, to),) = [written.command.split()[2:] for written in commands_in_blocks() if "cp -r" in written.command]
    page = Path(lines(unit)["Documentation"].removeprefix("file:")).relative_to(to)

    assert page.parts[0] in copied
    assert (CHECKOUT / page).is_file()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_what_is_refused_at_the_start_is_not_started_again_and_what_may_pass_is(unit: Path) -> None:
    assert lines(unit)["Restart"] == "on-failure"
    assert lines(unit)["RestartPreventExitStatus"].split() == [str(CANNOT_START)]
    assert TRY_AGAIN != CANNOT_START


@pytest.mark.parametrize("fault", [DeviceLost, DeviceBusy])
def test_a_gpu_that_fails_or_is_full_does_not_end_the_worker_for_good(fault: type[DeviceFault]) -> None:
    with pytest.raises((fault, typer.Exit)) as ended, plain_errors():
        raise fault("the GPU does not compute")

    # What no command foresees ends its process with 1.
    assert getattr(ended.value, "exit_code", 1) != CANNOT_START


def test_nothing_is_killed_that_would_still_end_by_itself() -> None:
    serve, worker = (int(lines(unit)["TimeoutStopSec"]) for unit in UNITS)

    assert serve > ConnectionLimits().longest_end_s
    assert worker > PacsSettings(name="main", dicomweb_root="https://pacs.example").study_timeout_s
    assert {lines(unit)["KillMode"] for unit in UNITS} == {"mixed"}  # the first process tells the others


def test_what_the_settings_of_the_deployment_folder_name_can_be_written_and_read() -> None:
    settings = read_settings(CHECKOUT / "deploy" / "mammotrend.toml", environment=False)
    for unit in UNITS:
        state = f"/var/lib/{lines(unit)['StateDirectory']}/"
        assert settings.database_url.startswith(f"sqlite:///{state}")
        assert str(settings.models_folder).startswith(state)
        assert lines(unit)["ProtectSystem"] == "strict"


def test_both_are_closed_in_the_same_way_but_for_what_torch_needs() -> None:
    serve, worker = (lines(unit) for unit in UNITS)

    assert {name for name in serve | worker if serve.get(name) != worker.get(name)} == {
        "Description",
        "ExecStart",
        "TimeoutStopSec",
        "MemoryDenyWriteExecute",
    }
