"""Images of an exam -> its risk: gate, pictures, network, calibration, with the weights loaded once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom import Dataset

from model.checkpoint import load_network
from model.devices import not_validated
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
from model.inference import optimised
from model.preprocessing import PictureFormat, picture
from model.views import exam_date, image_type, select_views, select_views_for_research

EARLIEST_EXAM = date(1980, 1, 1)
"""An exam date before it is a mistake or a placeholder."""


class Scorer:
    """One model on one device. Not for several threads at once: give each its own, or a queue."""

    def __init__(
        self, model_folder: Path, device: str | None = None, *, refuse_unvalidated_devices: bool = False
    ) -> None:
        """Load the model in `model_folder`; without a `device` on CUDA where there is one. Raises CheckpointBroken.

        A mammography unit that the model was not validated on is a warning on the score, or, if asked, a refusal.
        """
        self._refuse_unvalidated_devices = refuse_unvalidated_devices
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        # Torch lets convolutions on CUDA round to 10 bits (TF32) unless told otherwise; nobody has checked that here.
        torch.backends.cudnn.allow_tf32 = False
        network, self.card = load_network(model_folder, self.device)
        self._network = optimised(network)
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
        undated, unvalidated = _objections(day, at), self._unvalidated(selection.images.values())
        objections = (*undated, *(unvalidated if self._refuse_unvalidated_devices else ()))
        if selection.refusals or day is None or (objections and gate):
            return RefusedExam(study_uid, None if undated else day, (*objections, *selection.exclusions))
        pictures, unreadable = self.pictures(selection.images)
        if unreadable:
            return RefusedExam(study_uid, day, (*unreadable, *selection.left_out))
        score = self.score_pictures([pictures])[0]
        device, kind = _device(selection.images[STANDARD_VIEWS[0]]), image_type(selection.images.values())
        warnings = (*selection.warnings, *(objection.sentence for objection in (*unvalidated, *undated)))
        return ScoredExam(study_uid, day, score, at, device, kind, warnings)

    def _unvalidated(self, images: Iterable[Dataset]) -> tuple[Exclusion, ...]:
        sentences = (not_validated(_device(image), self.card.validated_devices) for image in images)
        said = dict.fromkeys(sentence for sentence in sentences if sentence)
        return tuple(Exclusion(ExclusionReason.DEVICE_NOT_VALIDATED, sentence) for sentence in said)

    def pictures(self, images: Mapping[View, Dataset]) -> tuple[NDArray[np.float32], tuple[Exclusion, ...]]:
        """The network's input, (4, 1, rows, columns) in the order of STANDARD_VIEWS, or why images are unreadable."""
        # Decoders, Pillow and NumPy let go of Python's lock, so the views do not wait for each other.
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            outcomes = list(threads.map(self._picture, STANDARD_VIEWS, (images[view] for view in STANDARD_VIEWS)))
        unreadable = tuple(outcome for outcome in outcomes if isinstance(outcome, Exclusion))
        if unreadable:
            return np.empty((0, 1, self._format.rows, self._format.columns), dtype=np.float32), unreadable
        return np.stack([outcome for outcome in outcomes if not isinstance(outcome, Exclusion)]), ()

    def _picture(self, view: View, image: Dataset) -> NDArray[np.float32] | Exclusion:
        try:
            return picture(image, self._format)
        except PicturesUnusable as e:
            uid = text(image, "SOPInstanceUID") or None
            return Exclusion(ExclusionReason.UNREADABLE_PIXELS, f"{view}: {e}.", uid)

    @torch.inference_mode()
    def score_pictures(self, exams: Sequence[NDArray[np.float32]]) -> list[RiskScore]:
        """Risks of a batch of exams, each (4, 1, rows, columns) in the order of STANDARD_VIEWS."""
        batch = torch.from_numpy(np.stack(exams)).to(self.device)
        raw = torch.sigmoid(self._network(batch)).double().cpu().numpy()
        return [self._calibrated(tuple(map(float, row))) for row in raw]

    def _calibrated(self, raw: tuple[float, ...]) -> RiskScore:
        return RiskScore(self.card.calibration.risks(raw), raw, self.card.version)


def _objections(day: date | None, at: datetime) -> tuple[Exclusion, ...]:
    """What is wrong with the day of an exam that is scored `at` a moment: it would put the score in a wrong place."""
    if day is None:
        sentence = "The images carry no exam date."
    elif day < EARLIEST_EXAM:
        sentence = f"The exam date {day.isoformat()} is too early for a mammogram in an archive."
    elif day > at.date() + timedelta(days=1):  # a clinic's day may begin before the server's
        sentence = f"The exam date {day.isoformat()} lies in the future."
    else:
        return ()
    return (Exclusion(ExclusionReason.NO_EXAM_DATE, sentence),)


def _study_uid(images: Sequence[Dataset]) -> str:
    return next(filter(None, (text(image, "StudyInstanceUID") for image in images)), "")


def _device(image: Dataset) -> AcquisitionDevice:
    versions = " ".join(values(image, "SoftwareVersions"))
    return AcquisitionDevice(text(image, "Manufacturer"), text(image, "ManufacturerModelName"), versions)
