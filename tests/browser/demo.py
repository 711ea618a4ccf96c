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
_ADDRESSES = (
    re.compile(r"The demo EHR: open (http://127\.0\.0\.1:\d+/)"),
    re.compile(r"CDS Hooks +(http://127\.0\.0\.1:\d+)/cds-services"),
)


@dataclass(frozen=True)
class RunningDemo:
    """The address of the EHR's screen, and that and the settings file of the service behind it."""

    address: str
    service: str
    settings: Path


@contextmanager
def running_demo(folder: Path) -> Iterator[RunningDemo]:
    """The demo once its table is printed; it ends with the block."""
    # -P: a file in the folder where the demo is started must not be taken for one of our packages.
    command = [sys.executable, "-P", "-m", "cds.cli", "demo", "--folder", str(folder / "kept")]
    with running(command, folder) as process:
        address, service = _addresses(process, folder / "server.log")
        yield RunningDemo(address, service, folder / "kept" / "mammotrend.toml")


def _addresses(process: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    ends = time.monotonic() + LONGEST_S
    while time.monotonic() < ends and process.poll() is None:
        said = log.read_text(errors="replace")
        found = [one.search(said) for one in _ADDRESSES]
        if "The demo stays up" in said and found[0] and found[1]:
            return found[0][1], found[1][1]
        time.sleep(0.2)
    raise AssertionError(f"the demo did not come up: {log.read_text(errors='replace')[-2000:]}")
