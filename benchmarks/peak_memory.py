"""Peak memory of a fresh process that loads the model in a folder and scores one exam: prints bytes, and ends."""

from __future__ import annotations

import resource
import sys
from datetime import UTC, datetime
from pathlib import Path

import pydicom

from model.domain import ScoredExam
from model.scorer import Scorer


def main(model: Path, exam: Path) -> None:
    """Score the DICOM files in `exam` once."""
    outcome = Scorer(model, "cpu").score_exam(
        [pydicom.dcmread(file) for file in sorted(exam.iterdir())], at=datetime.now(UTC)
    )
    if not isinstance(outcome, ScoredExam):
        raise SystemExit(f"the exam is refused: {outcome.exclusions}")
    print(_peak_bytes())


def _peak_bytes() -> int:
    """Linux's `ru_maxrss` starts at what the parent process held, so there the kernel's own line is read."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
