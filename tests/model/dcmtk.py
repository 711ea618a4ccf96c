"""DCMTK's programs as a second opinion; left out or demanded like the servers of the integration tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.servers import left_out


def dcmtk(program: str, *arguments: str) -> str:
    """What the program prints; skips the test where DCMTK is missing, fails it where the program fails."""
    executable = shutil.which(program)
    if executable is None:
        left_out("DCMTK is not installed: sudo apt-get install dcmtk")
    done = subprocess.run([executable, *arguments], capture_output=True, check=False, timeout=60)  # noqa: S603 - our own arguments
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return (done.stdout + done.stderr).decode(errors="replace")


def sixteen_bit_picture(file: Path) -> NDArray[np.uint16]:
    """The picture as DCMTK shows it, windowed by its own minimum and maximum."""
    shown = file.with_suffix(".pgm")
    dcmtk("dcmj2pnm", "--min-max-window", "--write-16-bit-pnm", str(file), str(shown))
    kind, columns, rows, white, *levels = shown.read_text().split()
    assert (kind, white) == ("P2", "65535")
    return np.array(levels, dtype=np.uint16).reshape(int(rows), int(columns))
