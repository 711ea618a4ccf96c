"""`python -m benchmarks.gpu`: what the GPU of this machine takes for an exam, in under five minutes; needs no server.

Every line is printed and kept as it comes. Status 0: all was measured; 1: something was not, and the rest is kept;
2: there is no GPU here.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks.gpu.parts import PARTS, lines, tell
from benchmarks.gpu.subject import FULL, TINY, Subject
from benchmarks.kept_results import RESULTS
from benchmarks.running_record import RunningRecord, said
from benchmarks.timing import machine

NO_GPU = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all parts, or tell another process of one; gives the status."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description="What the GPU here takes for an exam.")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="for the record, in place of benchmarks/results")
    parser.add_argument("--dry-run", action="store_true", help="a tiny network on the CPU: runs all, measures nothing")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if not given.dry_run and not torch.cuda.is_available():
        print(f"No GPU: torch {torch.__version__} sees none here. Nothing was measured; --dry-run runs all on the CPU.")
        return NO_GPU
    if given.part:
        tell(given.part, TINY if given.dry_run else FULL)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside; what was measured until then is kept"))
    if given.dry_run:
        with tempfile.TemporaryDirectory() as nowhere:
            return _measure(TINY, given.into or Path(nowhere))
    return _measure(FULL, given.into or RESULTS)


def _measure(subject: Subject, folder: Path) -> int:
    try:
        here = machine()
    except RuntimeError as fault:
        print(f"The GPU cannot be used: {said(fault)}. Nothing was measured.")
        return NO_GPU
    record = RunningRecord(folder / f"{datetime.now(UTC).date()}-{subject.name.replace(' ', '-').lower()}.json", here)
    for line in lines(subject):
        record.add(line)
    kept = record.finish()
    print("A dry run: none of these times is a GPU's." if subject is TINY else f"Kept in {kept}.")
    return 0 if record.is_whole else 1


if __name__ == "__main__":
    raise SystemExit(main())
