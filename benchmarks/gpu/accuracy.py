"""How far a lower precision moves five-year risks from float32 on the same card, beside how far it may."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu.subject import Subject
from benchmarks.running_record import Step
from benchmarks.timing import Finding
from model.accuracy import check_accuracy
from model.accuracy_records import LARGEST_SHIFT
from model.card import read_card
from model.inference import RiskNetwork
from model.precision import Precision

ALLOWED = f"{100 * LARGEST_SHIFT:.2g} percentage points are allowed"


def steps(subject: Subject) -> Iterator[Step]:
    """The check that a site runs, on the model that ships; and the full size, whose kernels are others."""
    for precision in (Precision.TF32, Precision.BF16):
        yield f"{subject.name}: accuracy check, {precision}", partial(_check, subject, precision)
        yield f"{subject.name}: accuracy at full size, {precision}", partial(_at_full_size, subject, precision)


def _check(subject: Subject, precision: Precision) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as folder, subject.model() as random:
        model = subject.checked or random
        record = check_accuracy(model, subject.card(precision), Path(folder), at=datetime.now(UTC))
        name = read_card(model).name
    what = f"{subject.name}: calibrated risks of {name} within one to five years, {precision}, against float32"
    yield Finding(what, _told(record.largest_difference))


def _at_full_size(subject: Subject, precision: Precision) -> Iterator[Finding]:
    pictures = subject.pictures(subject.exams_at_once)

    def risks(of: Precision) -> NDArray[np.float64]:
        return np.array(RiskNetwork(subject.network(), subject.card(of)).raw_risks(pictures))[:, -1]

    largest = float(np.abs(risks(precision) - risks(Precision.FLOAT32)).max())
    exams = f"random weights, {len(pictures)} exams of noise together"
    yield Finding(f"{subject.name}: raw five-year risks, {exams}, {precision}, against float32", _told(largest))


def _told(difference: float) -> str:
    return f"they move by {100 * difference:.2g} percentage points at most; {ALLOWED}"
