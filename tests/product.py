"""The product's own processes on a settings file, as a site starts them, and all that they write."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import CHECKOUT, READY_S

LONGEST_S = 180.0
LONGEST_END_S = 45.0
_LISTENING = r"listening on [\d.]+, port (\d+)"


@dataclass(frozen=True)
class Product:
    """`mammotrend` on the settings in `folder`, where every process leaves a log of its standard output and error.

    `program` is what Python is given to run; nothing of this process's own `MAMMOTREND_` environment is passed on.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    program: Sequence[str] = ("-m", "cds.cli")

    @property
    def settings(self) -> Path:
        """The settings file, which is for the test to write."""
        return self.folder / "mammotrend.toml"

    @property
    def logs(self) -> dict[str, str]:
        """What each process has written so far, by the name of its log."""
        return {log.stem: log.read_text(errors="replace") for log in sorted(self.folder.glob("*.log"))}

    @contextmanager
    def process(self, *command: str, once_it_says: str = "") -> Iterator[subprocess.Popen[bytes]]:
        """`mammotrend COMMAND` while the block runs; then it is told to stop, and may end what it has in hand."""
        log = self._new_log(command)
        with self._started(command, log) as process:
            _said(once_it_says, log, process)
            yield process

    def run(self, *command: str, **environment: str) -> int:
        """The exit status of a command that ends by itself."""
        with self._started(command, self._new_log(command), environment) as process:
            return process.wait(LONGEST_S)

    @contextmanager
    def serving(self) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
        """`mammotrend serve` once it listens: its address, and its process."""
        log = self._new_log(("serve",))
        with self._started(("serve",), log) as process:
            yield f"http://127.0.0.1:{_said(_LISTENING, log, process)[1]}", process

    def _new_log(self, command: Sequence[str]) -> Path:
        number = len(list(self.folder.glob("*.log"))) + 1
        return self.folder / f"{number:02}-{'-'.join(command)}.log"

    @contextmanager
    def _started(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        # -P: a file in the folder where the test is started must not be taken for one of our packages.
        run = [sys.executable, "-P", *self.program, *command, "--config", str(self.settings)]
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("MAMMOTREND_")}
        given = {**kept, **self.environment, **(environment or {}), "PYTHONPATH": str(CHECKOUT)}
        with log.open("wb") as output:
            process = subprocess.Popen(run, cwd=self.folder, env=given, stdout=output, stderr=output)  # noqa: S603 # our own program
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(LONGEST_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _said(pattern: str, log: Path, process: subprocess.Popen[bytes]) -> re.Match[str]:
    """Where its log has the pattern, once it has."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(pattern, log.read_text(errors="replace"))
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{process.args!r} does not say {pattern!r}: {log.read_text(errors='replace')[-2000:]}")
