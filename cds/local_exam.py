"""One exam from local files, scored by the scorer of the site."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydicom import Dataset

from cds.dicom_file import UNREADABLE, read_file
from cds.errors import MammoTrendError
from model.domain import STANDARD_VIEWS, RefusedExam, ScoredExam
from model.self_check import ExamScorer


class NotDicom(MammoTrendError):
    """A file that is not DICOM."""


def score_files(files: Sequence[Path], scorer: ExamScorer, *, gate: bool) -> dict[str, Any]:
    """The exam's risks, or `refused` with the reasons, ready for JSON. Risks are fractions (0.017 is 1.7 %)."""
    images = [_read(file) for file in files]
    exam = scorer.score_exam(images, at=datetime.now(UTC), gate=gate)
    model = {"name": scorer.card.name, "version": scorer.card.version.key, "clinical": scorer.card.clinical}
    if not scorer.card.clinical:
        model["banner"] = scorer.card.banner
    return {"model": model, "gate": gate, **(_refusal(exam) if isinstance(exam, RefusedExam) else _risks(exam))}


def _read(file: Path) -> Dataset:
    try:
        with file.open("rb") as content:
            return read_file(content)
    except UNREADABLE as e:
        raise NotDicom(f"{file.name!r} cannot be read as DICOM ({type(e).__name__})") from e


def _risks(exam: ScoredExam) -> dict[str, Any]:
    made_from = exam.provenance
    return {
        "exam_date": exam.performed_on.isoformat(),
        "risk_calibrated": dict(zip(_YEARS, exam.score.calibrated, strict=True)),
        "risk_raw": dict(zip(_YEARS, exam.score.raw, strict=True)),
        "views": [str(view) for view in STANDARD_VIEWS],
        "images": [{"view": str(image.view), "uid": image.uid, "sha256": image.sha256} for image in made_from.images],
        "computed_by": [made_from.processor, made_from.software],
        "device": str(exam.device),
        "warnings": list(exam.warnings),
    }


_YEARS = ("year_1", "year_2", "year_3", "year_4", "year_5")


def _refusal(exam: RefusedExam) -> dict[str, Any]:
    reasons = [
        {"reason": e.reason.value, "sentence": e.sentence, **({"image": e.image_uid} if e.image_uid else {})}
        for e in exam.exclusions
    ]
    return {"refused": reasons}
