"""Records of accuracy checks: which precision may score patients with which model, on which device.

Made by `model.accuracy`. A record is for exactly the weights, the device and the software that were checked, and for
as many pictures together.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from model.card import ModelCard
from model.errors import PrecisionNotChecked
from model.precision import Precision
from model.processor import Processor
from model.provenance import software

LARGEST_SHIFT: Final = 0.0002
"""How far a lower precision may move a calibrated risk, as a fraction: 0.02 points of percent; cards show tenths."""

FOLDER: Final = "accuracy"
"""Below the models folder: that of a model that ships with the package may be read-only."""


@dataclass(frozen=True)
class Subject:
    """Exactly what was checked: a record for anything else says nothing."""

    model: str
    weights_sha256: str
    preprocessing: str
    calibration: str
    precision: str
    device: str
    software: str
    pictures_at_once: int

    @property
    def file_name(self) -> str:
        """Its own file each, so that machines which share a models folder do not overwrite each other's."""
        digest = hashlib.sha256(repr(self).encode()).hexdigest()
        return f"{self.weights_sha256[:12]}-{self.precision}-{digest[:12]}.json"


@dataclass(frozen=True)
class AccuracyRecord:
    """What a check found. `largest_difference` and `tolerance` are fractions of risk."""

    subject: Subject
    largest_difference: float
    tolerance: float
    checked_at: str

    @property
    def passed(self) -> bool:
        """Whether the difference is small enough, by today's tolerance too."""
        return 0 <= self.largest_difference <= min(self.tolerance, LARGEST_SHIFT)


def subject_of(card: ModelCard, processor: Processor) -> Subject:
    """What is checked, or must have been, before `processor` scores patients with the model."""
    return Subject(
        card.name,
        card.weights_sha256,
        card.preprocessing,
        card.calibration.identity,
        processor.precision.value,
        processor.name,
        software(),
        processor.pictures_at_once,
    )


def require_checked(card: ModelCard, processor: Processor, models_folder: Path | None) -> None:
    """Raise PrecisionNotChecked, saying what to run, unless the processor is float32 or its check has passed."""
    if processor.precision is Precision.FLOAT32:
        return
    subject = subject_of(card, processor)
    record = _read(models_folder / FOLDER / subject.file_name) if models_folder else None
    if record is None or record.subject != subject:
        raise PrecisionNotChecked(
            f"precision {processor.precision.value!r} has not been checked for {card.name!r} on {processor.name} with "
            f"{subject.software}; run: mammotrend model verify {card.name} --precision {processor.precision}"
        )
    if not record.passed:
        raise PrecisionNotChecked(
            f"precision {processor.precision.value!r} moves risks of {card.name!r} by {record.largest_difference:.2g} "
            f"on {processor.name} ({LARGEST_SHIFT} is allowed); use precision 'float32'"
        )


def write_record(record: AccuracyRecord, models_folder: Path) -> None:
    """Keep what a check found, in place of what an earlier one did; raises PrecisionNotChecked where it cannot."""
    file = models_folder / FOLDER / record.subject.file_name
    unfinished = file.with_suffix(".new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
        unfinished.replace(file)
    except OSError as e:
        raise PrecisionNotChecked(
            f"the accuracy check cannot be recorded in the models folder ({type(e).__name__}); make it writable and "
            "run the check again"
        ) from e


def _read(file: Path) -> AccuracyRecord | None:
    """The record in a file; None where there is none, or where somebody has made something else of it."""
    try:
        fields: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        record = AccuracyRecord(Subject(**fields.pop("subject")), **fields)
        numbers = record.largest_difference, record.tolerance
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return record if all(type(number) in (int, float) for number in numbers) else None
