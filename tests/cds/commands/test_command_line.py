"""What every command shares: logs in which nobody is named."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer import Exit

from cds.commands.command_line import TRY_AGAIN, plain_errors
from model.errors import DeviceBusy, DeviceFault, DeviceLost

LOGS = """
import logging
from cds.commands.command_line import set_up_logging
set_up_logging("DEBUG")
logging.getLogger("cds.nightly.night").warning("ours")
logging.getLogger({name!r}).{level}("GET /studies/1.2.77 for MRN-1")
"""
WARNING = """
import warnings
from cds.commands.command_line import set_up_logging
set_up_logging("DEBUG")
warnings.warn_explicit("'Test Ada' is no name", UserWarning, "valuerep.py", 55, module={module!r})
"""


@pytest.mark.parametrize("fault", [DeviceLost("the GPU has failed"), DeviceBusy("the GPU is full")])
def test_a_gpu_that_fails_ends_in_one_line_and_a_status_after_which_it_is_tried_again(
    capsys: pytest.CaptureFixture[str], fault: DeviceFault
) -> None:
    with pytest.raises(Exit) as ended, plain_errors():
        raise fault

    assert ended.value.exit_code == TRY_AGAIN
    assert capsys.readouterr().err == f"mammotrend: {fault}\n"


def written(program: str) -> str:
    """What a program writes of itself to standard output and error."""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - our own
    return ended.stderr + ended.stdout


@pytest.mark.parametrize("name", ["urllib3.connectionpool", "retrying"])
def test_libraries_that_quote_addresses_in_their_warnings_are_not_heard(name: str) -> None:
    log = written(LOGS.format(name=name, level="error"))

    assert "ours" in log
    assert "1.2.77" not in log


def test_connections_that_a_restarted_database_has_ended_leave_no_traceback() -> None:
    log = written(LOGS.format(name="sqlalchemy.pool.impl.QueuePool", level="error"))

    assert "ours" in log
    assert "1.2.77" not in log


@pytest.mark.parametrize("name", ["highdicom.base", "pydicom"])
def test_libraries_that_name_images_at_work_are_not_heard(name: str) -> None:
    log = written(LOGS.format(name=name, level="warning"))

    assert "ours" in log
    assert "1.2.77" not in log


@pytest.mark.parametrize("module", ["highdicom.valuerep", "pydicom.valuerep"])
def test_warnings_that_quote_odd_values_are_not_heard(module: str) -> None:
    assert "Ada" in written(WARNING.format(module="another.module"))
    assert written(WARNING.format(module=module)) == ""
