"""The demo's worker: `mammotrend worker` in a process of its own, which ends with the demo whatever ends that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = Path(__file__).parents[2]
LONGEST_END_S = 30


@contextmanager
def worker_process(settings: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker on these settings while the block runs; what it says goes to `log`."""
    # -P: a file in the folder where the demo is started must not be taken for one of our packages.
    command = [sys.executable, "-P", "-m", "cds.demo.worker_process", str(settings)]
    with log.open("wb") as output:
        worker = subprocess.Popen(  # noqa: S603 # our own module
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=_environment()
        )
    # Leaving the inner block closes the worker's standard input and waits for it.
    with worker:
        try:
            yield worker
        finally:
            _end(worker)


def _environment() -> dict[str, str]:
    """Ours, with the packages where they are now, and without a site's settings: the demo is no part of the site."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("MAMMOTREND_")}
    paths = [str(PACKAGES), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths)}


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.terminate()
    try:
        worker.wait(timeout=LONGEST_END_S)
    except subprocess.TimeoutExpired:
        worker.kill()


def main() -> None:
    """Run the worker in this process, until it is told to stop or standard input ends."""
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    from cds.cli import app

    app(["worker", "--config", sys.argv[1]])


def _end_with_standard_input() -> None:
    """The demo holds the other end, and lets go of it even where it is killed."""
    # Not sys.stdin: a thread that holds its lock keeps the interpreter from ending.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
