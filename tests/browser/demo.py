"""The demo as `make demo` runs it, with its EHR's screen."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import running

LONGEST_S = 300.0
_ADDRESS = re.compile(r"The demo EHR: open (http://127\.0\.0\.1:\d+/)")


@dataclass(frozen=True)
class RunningDemo:
    """The address of the EHR's screen, and the settings file of the service behind it."""

    address: str
    settings: Path


@contextmanager
def running_demo(folder: Path) -> Iterator[RunningDemo]:
    """The demo once its table is printed; it ends with the block."""
    # -P: a file in the folder where the demo is started must not be taken for one of our packages.
    command = [sys.executable, "-P", "-m", "cds.cli", "demo", "--folder", str(folder / "kept")]
    with running(command, folder) as process:
        yield RunningDemo(_address(process, folder / "server.log"), folder / "kept" / "mammotrend.toml")


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    ends = time.monotonic() + LONGEST_S
    while time.monotonic() < ends and process.poll() is None:
        said = log.read_text(errors="replace")
        found = _ADDRESS.search(said)
        if found and "The demo stays up" in said:
            return found[1]
        time.sleep(0.2)
    raise AssertionError(f"the demo did not come up: {log.read_text(errors='replace')[-2000:]}")
