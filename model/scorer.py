"""Images of an exam -> its risk: gate, pictures, network, calibration, with the weights loaded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom import Dataset

from model.checkpoint import load_network
from model.domain import (
    STANDARD_VIEWS,
    AcquisitionDevice,
    Exclusion,
    ExclusionReason,
    RefusedExam,
    RiskScore,
    ScoredExam,
    View,
)
from model.errors import CheckpointBroken, PicturesUnusable
from model.headers import text, values
from model.preprocessing import PictureFormat, picture
from model.views import exam_date, image_type, select_views, select_views_for_research


class Scorer:
    """One model on one device. Not for several threads at once: give each its own, or a queue."""

    def __init__(self, model_folder: Path, device: str | None = None) -> None:
        """Load the model in `model_folder`; without a `device` on CUDA where there is one. Raises CheckpointBroken."""
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._network, self.card = load_network(model_folder, self.device)
        try:
            self._format = PictureFormat(**self.card.picture)
        except TypeError as e:
            raise CheckpointBroken(f"the card of {self.card.name!r} does not describe the model's pictures") from e

    def score_exam(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> ScoredExam | RefusedExam:
        """Score the images of one exam, or say why not.

        `at` is the moment of scoring, `performed_on` the exam's day where the headers do not give it. `gate=False`
        turns the clinical gate's refusals into warnings, for research only.
        """
        selection = select_views(images) if gate else select_views_for_research(images)
        # What is left out may belong elsewhere: only where nothing is selected may it name the exam.
        named_by = list(selection.images.values()) or images
        day, study_uid = exam_date(named_by) or performed_on, _study_uid(named_by)
        if selection.refusals or day is None:
            undated = () if day else (Exclusion(ExclusionReason.NO_EXAM_DATE, "The images carry no exam date."),)
            return RefusedExam(study_uid, day, (*undated, *selection.exclusions))
        pictures, unreadable = self.pictures(selection.images)
        if unreadable:
            return RefusedExam(study_uid, day, (*unreadable, *selection.left_out))
        score = self.score_pictures([pictures])[0]
        device, kind = _device(selection.images[STANDARD_VIEWS[0]]), image_type(selection.images.values())
        return ScoredExam(study_uid, day, score, at, device, kind, selection.warnings)

    def pictures(self, images: Mapping[View, Dataset]) -> tuple[NDArray[np.float32], tuple[Exclusion, ...]]:
        """The network's input, (4, 1, rows, columns) in the order of STANDARD_VIEWS, or why images are unreadable."""
        views: list[NDArray[np.float32]] = []
        unreadable: list[Exclusion] = []
        for view in STANDARD_VIEWS:
            image = images[view]
            try:
                views.append(picture(image, self._format))
            except PicturesUnusable as e:
                uid = text(image, "SOPInstanceUID") or None
                unreadable.append(Exclusion(ExclusionReason.UNREADABLE_PIXELS, f"{view}: {e}.", uid))
        empty = np.empty((0, 1, self._format.rows, self._format.columns), dtype=np.float32)
        return (empty if unreadable else np.stack(views)), tuple(unreadable)

    @torch.inference_mode()
    def score_pictures(self, exams: Sequence[NDArray[np.float32]]) -> list[RiskScore]:
        """Risks of a batch of exams, each (4, 1, rows, columns) in the order of STANDARD_VIEWS."""
        batch = torch.from_numpy(np.stack(exams)).to(self.device)
        raw = torch.sigmoid(self._network(batch)).double().cpu().numpy()
        return [self._calibrated(tuple(map(float, row))) for row in raw]

    def _calibrated(self, raw: tuple[float, ...]) -> RiskScore:
        return RiskScore(self.card.calibration.risks(raw), raw, self.card.version)


def _study_uid(images: Sequence[Dataset]) -> str:
    return next(filter(None, (text(image, "StudyInstanceUID") for image in images)), "")


def _device(image: Dataset) -> AcquisitionDevice:
    versions = " ".join(values(image, "SoftwareVersions"))
    return AcquisitionDevice(text(image, "Manufacturer"), text(image, "ManufacturerModelName"), versions)
