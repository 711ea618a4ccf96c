"""Medians, what they are told as, and the machine they were taken on."""

from __future__ import annotations

import copy
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

PACKAGES = ("flask", "imagecodecs", "numpy", "pg8000", "pydicom", "sqlalchemy", "waitress")
"""Beside torch, those whose versions the figures depend on."""


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure, its floor, what the floor is, and what the figure means beside others."""

    what: str
    seconds: float
    floor_s: float | None = None
    floor: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Finding:
    """What was found out that is no time."""

    what: str
    found: str


@dataclass(frozen=True)
class NotMeasured:
    """What was to be measured and could not be, and why."""

    what: str
    why: str


Line = Row | Finding | NotMeasured
"""What a benchmark tells."""


def median_seconds(work: Callable[[], Any], rounds: int) -> float:
    """Median wall time of one call, after one call that does not count."""
    work()
    return median(_seconds(work) for _ in range(rounds))


def medians_in_turn(works: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """Medians of several pieces of work, each round measuring all of them, so that their ratio can be trusted."""
    for work in works:
        work()
    measured = [[_seconds(work) for work in works] for _ in range(rounds)]
    return [median(times) for times in zip(*measured, strict=True)]


def copy_seconds(size: int) -> float:
    """Seconds for one copy of that many bytes in memory: less is not possible for what reads and writes them."""
    source = np.zeros(size, dtype=np.uint8)
    return median_seconds(source.copy, 5)


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def flop(network: nn.Module, shape: Sequence[int]) -> float:
    """Multiply-adds counted twice for an input of this shape, by torch itself, on the device that computes nothing."""
    from torch.utils.flop_counter import FlopCounterMode

    of_no_weights = copy.deepcopy(network).to("meta")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        of_no_weights(torch.empty(*shape, device="meta"))
    return float(counter.get_total_flops())


def machine() -> dict[str, str]:
    """What the figures were taken on, and of which program."""
    return {
        "commit": _first_line(["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": str(torch.version.cuda or "none"),
        **{package: _version(package) for package in PACKAGES},
        "postgresql": _first_line([_newest_postgresql(), "-V"]),
        "cores": str(os.cpu_count()),
        "processor": f"{platform.machine()} {_processor_model()}".rstrip(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # one that only an extra brings
        return "none"


def _newest_postgresql() -> str:
    """As Debian installs it, several versions beside each other; else what the path names."""
    installed = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return str(max(installed, key=lambda found: float(found.parts[4]), default="postgres"))


def _processor_model() -> str:
    """As Linux names it; nothing elsewhere."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in told if line.startswith("model name")), "")


def _first_line(command: Sequence[str]) -> str:
    """What a program says of itself; "none" where it is not there."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own
        return said.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "none"


def matrix_rate(
    size: int = 2048,
    rounds: int = 20,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - a device is a value and never changes
    kind: torch.dtype = torch.float32,
) -> float:
    """Floating point operations a second of the fastest matrix product here: what no network can beat."""
    a = torch.randn(size, size, device=device, dtype=kind)
    product = waiting(device, lambda: a @ a)
    product()
    return 2 * size**3 / min(_seconds(product) for _ in range(rounds))


def waiting(device: torch.device, work: Callable[[], Any]) -> Callable[[], None]:
    """A GPU works on after its call has returned: the clock stops when it is done."""

    def done() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return done
