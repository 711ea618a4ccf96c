"""Images of an exam -> its risk: gate, pictures, network, calibration, with the weights loaded once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path

import torch
from pydicom import Dataset
from torch import Tensor

from model.accuracy_records import require_checked
from model.calibration_file import calibrated_by
from model.checkpoint import load_network
from model.device_pictures import finished_on
from model.devices import not_validated
from model.domain import (
    STANDARD_VIEWS,
    AcquisitionDevice,
    Exclusion,
    ExclusionReason,
    RefusedExam,
    RiskScore,
    ScoredExam,
    SourceImage,
    View,
)
from model.errors import CheckpointBroken, PicturesUnusable
from model.headers import text, values
from model.inference import RiskNetwork
from model.precision import Precision
from model.prepared import PreparedExam, WaitingPicture
from model.preprocessing import PictureFormat, Windowed, finished, opened
from model.processor import processor
from model.provenance import software, source_image
from model.views import exam_date, image_type, select_views, select_views_for_research

EARLIEST_EXAM = date(1980, 1, 1)
"""An exam date before it is a mistake or a placeholder."""


class Scorer:
    """One model on one device. `prepare` is for any thread; `score` for one at a time."""

    def __init__(
        self,
        model_folder: Path,
        device: str | None = None,
        *,
        precision: Precision = Precision.FLOAT32,
        models_folder: Path | None = None,
        batch_exams: int | None = None,
        refuse_unvalidated_devices: bool = False,
        calibration: Path | None = None,
    ) -> None:
        """Load the model in `model_folder`; without a `device` on CUDA where there is one. Raises ModelError.

        A lower `precision` than float32 needs a passing record of its accuracy check in `models_folder`.
        `batch_exams` is how many exams to give to `score` together; without it, what suits the device. A mammography
        unit that the model was not validated on is a warning on the score, or, if asked, a refusal. `calibration` is a
        site's own, the file of it, which goes over the model's.
        """
        self.processor = processor(device, precision)
        self.batch_exams = batch_exams or self.processor.exams_at_once
        self._refuse_unvalidated_devices = refuse_unvalidated_devices
        network, card = load_network(model_folder, self.processor.device)
        self.card = calibrated_by(card, calibration)
        require_checked(self.card, self.processor, models_folder)
        self._network = RiskNetwork(network, self.processor)
        self._software = software()
        try:
            self._format = PictureFormat(**self.card.picture)
        except TypeError as e:
            raise CheckpointBroken(f"the card of {self.card.name!r} does not describe the model's pictures") from e

    def score_exam(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> ScoredExam | RefusedExam:
        """`prepare` and `score` of a single exam."""
        exam = self.prepare(images, at=at, performed_on=performed_on, gate=gate)
        return exam if isinstance(exam, RefusedExam) else self.score([exam])[0]

    def prepare(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> PreparedExam | RefusedExam:
        """Check and decode the images of one exam, or say why it cannot be scored.

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
        sources, pictures, unreadable = self._opened(selection.images)
        if unreadable:
            return RefusedExam(study_uid, day, (*unreadable, *selection.left_out))
        device, kind = _device(selection.images[STANDARD_VIEWS[0]]), image_type(selection.images.values())
        warnings = (*selection.warnings, *(objection.sentence for objection in (*unvalidated, *undated)))
        return PreparedExam(study_uid, day, at, device, kind, warnings, sources, pictures)

    def _unvalidated(self, images: Iterable[Dataset]) -> tuple[Exclusion, ...]:
        sentences = (not_validated(_device(image), self.card.validated_devices) for image in images)
        said = dict.fromkeys(sentence for sentence in sentences if sentence)
        return tuple(Exclusion(ExclusionReason.DEVICE_NOT_VALIDATED, sentence) for sentence in said)

    def _opened(
        self, images: Mapping[View, Dataset]
    ) -> tuple[tuple[SourceImage, ...], tuple[WaitingPicture, ...], tuple[Exclusion, ...]]:
        """Digests and pictures of the four views, and which of them are unreadable."""
        # Decoders, SHA-256, Pillow and NumPy let go of Python's lock, so the views do not wait for each other.
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            outcomes = list(threads.map(self._open, STANDARD_VIEWS, (images[view] for view in STANDARD_VIEWS)))
        readable = [outcome for outcome in outcomes if not isinstance(outcome, Exclusion)]
        unreadable = tuple(outcome for outcome in outcomes if isinstance(outcome, Exclusion))
        return tuple(source for source, _ in readable), tuple(picture for _, picture in readable), unreadable

    def _open(self, view: View, image: Dataset) -> tuple[SourceImage, WaitingPicture] | Exclusion:
        try:
            picture = opened(image)
        except PicturesUnusable as e:
            uid = text(image, "SOPInstanceUID") or None
            return Exclusion(ExclusionReason.UNREADABLE_PIXELS, f"{view}: {e}.", uid)
        source = source_image(view, image, picture.stored)
        return source, picture if self.processor.makes_pictures else finished(picture, self._format)

    def score(self, exams: Sequence[PreparedExam]) -> list[ScoredExam | RefusedExam]:
        """Score a batch of prepared exams, in their order."""
        if not exams:
            return []
        pictures = [self._on_device(picture) for exam in exams for picture in exam.pictures]
        batch = torch.stack(pictures).view(len(exams), len(STANDARD_VIEWS), *pictures[0].shape)
        scores = [self._calibrated(raw) for raw in self._network.raw_risks(batch)]
        made_by = str(self.processor), self._software
        return [exam.scored(score, *made_by) for exam, score in zip(exams, scores, strict=True)]

    def _on_device(self, picture: WaitingPicture) -> Tensor:
        """The network's input of one view, (1, rows, columns)."""
        if isinstance(picture, Windowed):
            return finished_on(self.processor.device, picture, self._format)
        return torch.from_numpy(picture).to(self.processor.device)

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
