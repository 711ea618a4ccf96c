"""`make bench`: measure all there is, print it as it comes, and keep it in `benchmarks/results/`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

import torch

from benchmarks import decoding, hook, scoring
from benchmarks.gpu.parts import lines as gpu_lines
from benchmarks.kept_results import RESULTS
from benchmarks.night import Night
from benchmarks.pipeline import EXAM_BYTES
from benchmarks.running_record import RunningRecord, Step, guarded
from benchmarks.timing import Finding, Line, machine


def main() -> None:
    """Measure everything once; what fails is told, and all else is measured and kept all the same."""
    record, night = RunningRecord(RESULTS / f"{datetime.now(UTC).date()}.json", machine()), Night()
    for line in guarded(steps(night)):
        record.add(line)
    costs = {stage.value: asdict(alone) for stage, alone in night.stages.items()}
    print(record.finish(stages={"exam_bytes": EXAM_BYTES, **costs}))
    raise SystemExit(0 if record.is_whole else 1)


def steps(night: Night) -> Iterator[Step]:
    """What is measured, each by itself; the night keeps what its stages cost."""
    yield "hook calls", hook.rows
    yield "scoring", lambda: scoring.rows(rounds=3)
    yield "a GPU", _on_a_gpu
    yield "decoding", lambda: decoding.rows(rounds=3)
    yield "a night", night.rows


def _on_a_gpu() -> Iterator[Line]:
    if torch.cuda.is_available():
        yield from gpu_lines()
    else:
        yield Finding("GPU", "there is none here, so nothing was measured on one")


if __name__ == "__main__":
    main()
