"""What every command shares: logs in which nobody is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOGS = """
import logging
from cds.command_line import set_up_logging
set_up_logging("DEBUG")
logging.getLogger("cds.night").warning("ours")
logging.getLogger({name!r}).error("GET /studies/1.2.77 for MRN-1")
"""


@pytest.mark.parametrize("name", ["urllib3.connectionpool", "retrying"])
def test_libraries_that_quote_addresses_in_their_warnings_are_not_heard(name: str) -> None:
    command = [sys.executable, "-c", LOGS.format(name=name)]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - our own

    assert "ours" in ended.stderr
    assert "1.2.77" not in ended.stderr + ended.stdout
