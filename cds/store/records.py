"""Rows of the store to domain types and back."""

from __future__ import annotations

from dataclasses import asdict
from hashlib import sha256
from typing import Any

from cds.store.known_exams import StoredErrand, StoredExam, StoredScore
from model.domain import (
    AcquisitionDevice,
    Exclusion,
    ExclusionReason,
    ImageType,
    Laterality,
    ModelVersion,
    PendingExam,
    Provenance,
    RefusedExam,
    RiskScore,
    ScoredExam,
    SourceImage,
    View,
    ViewPosition,
)

NOBODY_TO_COMPARE = "The EHR gave no identifier of this patient, so it was not checked whose images these are."


def score_values(exam: ScoredExam) -> dict[str, Any]:
    """What is kept of a score: the numbers, the whole model identity, the device, and what it was made from."""
    model, made = exam.score.model, exam.provenance
    return {
        "study_uid": exam.study_uid,
        "model": model.key,
        "images_digest": images_digest(exam),
        "model_name": model.name,
        "weights": model.weights,
        "preprocessing": model.preprocessing,
        "calibration": model.calibration,
        "clinical": model.clinical,
        "performed_on": exam.performed_on,
        "calibrated": list(exam.score.calibrated),
        "raw": list(exam.score.raw),
        "manufacturer": exam.device.manufacturer,
        "device_model": exam.device.model_name,
        "software_versions": exam.device.software_versions,
        "image_type": exam.image_type.value,
        "images": [{"view": str(image.view), "uid": image.uid, "sha256": image.sha256} for image in made.images],
        "processor": made.processor,
        "software": made.software,
        "warnings": list(exam.warnings),
        "scored_at": exam.scored_at,
    }


def images_digest(exam: ScoredExam) -> str:
    """The same for the same images with the same pixels and date, whoever scored them; empty where not known."""
    images = [f"{image.view} {image.uid} {image.sha256}" for image in exam.provenance.images]
    return sha256("\n".join([exam.performed_on.isoformat(), *images]).encode()).hexdigest() if images else ""


def scored_exam(row: StoredScore, exam: StoredExam) -> ScoredExam:
    """A stored score as the exam it belongs to, with a warning where its images could not be compared with the patient.

    A score is kept once for all EHRs, and stays where its images are scored again; what an EHR gives is the exam's.
    """
    model = ModelVersion(row.model_name, row.weights, row.preprocessing, row.calibration, row.clinical)
    return ScoredExam(
        study_uid=row.study_uid,
        performed_on=row.performed_on,
        score=RiskScore(tuple(row.calibrated), tuple(row.raw), model),
        scored_at=row.scored_at,
        device=AcquisitionDevice(row.manufacturer, row.device_model, row.software_versions),
        image_type=ImageType(row.image_type),
        warnings=(*row.warnings, *(() if exam.patient_identifiers else (NOBODY_TO_COMPARE,))),
        imaging_study=exam.imaging_study,
        provenance=Provenance(tuple(map(_source_image, row.images)), row.processor, row.software),
    )


def _source_image(kept: dict[str, str]) -> SourceImage:
    laterality, position = kept["view"].split()
    return SourceImage(View(Laterality(laterality), ViewPosition(position)), kept["uid"], kept["sha256"])


def exclusion_rows(exam: RefusedExam) -> list[dict[str, str | None]]:
    """Exclusions as JSON."""
    return [{**asdict(exclusion), "reason": exclusion.reason.value} for exclusion in exam.exclusions]


def refused_exam(errand: StoredErrand, exam: StoredExam) -> RefusedExam:
    """A stored refusal with its reasons."""
    reasons = (
        Exclusion(ExclusionReason(row["reason"]), row["sentence"], row["image_uid"]) for row in errand.exclusions
    )
    return RefusedExam(exam.study_uid or exam.key, exam.performed_on, tuple(reasons), exam.imaging_study)


def pending_exam(errand: StoredErrand, exam: StoredExam) -> PendingExam:
    """A queued exam with the problem of its last attempt, if there was one."""
    return PendingExam(exam.study_uid, exam.performed_on, errand.problem, exam.imaging_study)
