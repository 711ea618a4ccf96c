"""Images of an exam -> what the network is given: gate, decoding, pictures. Needs no weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta

import torch
from pydicom import Dataset

from model.card import ModelCard
from model.devices import not_validated
from model.domain import (
    STANDARD_VIEWS,
    AcquisitionDevice,
    Exclusion,
    ExclusionReason,
    RefusedExam,
    SourceImage,
    View,
)
from model.errors import CheckpointBroken, PicturesUnusable
from model.exam_days import exam_date
from model.headers import text, values
from model.prepared import PreparedExam, WaitingPicture
from model.preprocessing import PictureFormat, Windowed, finished, opened
from model.provenance import source_image
from model.views import image_type, select_views, select_views_for_research

EARLIEST_EXAM = date(1980, 1, 1)
"""An exam date before it is a mistake or a placeholder."""


Finish = Callable[[Windowed, PictureFormat], WaitingPicture]
"""How a decoded view becomes a picture: on this machine's cores or its GPU, or later (`left_to_the_scorer`)."""


def left_to_the_scorer(view: Windowed, _form: PictureFormat) -> Windowed:
    """The view as it is: what scores has a GPU and is on another machine."""
    return view


class Preparer:
    """What comes before the network of a model, for any thread."""

    def __init__(self, card: ModelCard, finish: Finish = finished, *, refuse_unvalidated_devices: bool = False) -> None:
        """Raises CheckpointBroken where the card does not describe pictures."""
        self._card, self._finish = card, finish
        self._refuse_unvalidated_devices = refuse_unvalidated_devices
        try:
            self.format = PictureFormat(**card.picture)
        except TypeError as e:
            raise CheckpointBroken(f"the card of {card.name!r} does not describe the model's pictures") from e

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
        sentences = (not_validated(_device(image), self._card.validated_devices) for image in images)
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
        return source, self._finish(picture, self.format)


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
