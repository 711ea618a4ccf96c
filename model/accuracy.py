"""The accuracy check: how far a lower precision moves a model's risks, against float32 on the same device."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from model.accuracy_records import LARGEST_SHIFT, AccuracyRecord, subject_of, write_record
from model.calibration_file import calibrated_by
from model.card import ModelCard
from model.checkpoint import load_network
from model.inference import RiskNetwork
from model.phantom import VENDORS, PhantomExam, dicom_images
from model.precision import Precision
from model.preprocessing import PictureFormat, picture
from model.processor import Processor, computed, starting_on

NOISE_TAGS: Final = ("input.small", "input.full")
"""Names, and so the seeds, of the pictures that the original model's recorded numbers were computed from."""

WOMEN: Final = range(8_100_001, 8_100_005)
"""Phantoms of the check; the strength of their planted signal rises from none to the strongest."""


def check_accuracy(
    model_folder: Path, processor: Processor, models_folder: Path, *, at: datetime, calibration: Path | None = None
) -> AccuracyRecord:
    """Compare the processor with float32 on its device, and keep what was found, good or bad, in the models folder.

    `calibration` is the file of a site's own: a steep one makes more of a difference than the model's does. Raises
    ModelError and DeviceFault.
    """
    with starting_on(str(processor.device)):
        network, card = load_network(model_folder, processor.device)
        exact = RiskNetwork(network, replace(processor, precision=Precision.FLOAT32))
        fast = RiskNetwork(network, processor)
    card = calibrated_by(card, calibration)
    exams = list(_exams(PictureFormat(**card.picture)))
    expected = computed(partial(_risks, exact, card, exams, together=1))
    together = range(1, processor.exams_at_once + 1)
    found = (computed(partial(_risks, fast, card, exams, number)) for number in together)
    largest = max(_difference(risks, expected) for risks in found)
    record = AccuracyRecord(subject_of(card, processor), largest, LARGEST_SHIFT, at.isoformat(timespec="seconds"))
    write_record(record, models_folder)
    return record


def _risks(network: RiskNetwork, card: ModelCard, exams: Sequence[Tensor], together: int) -> list[Sequence[float]]:
    """Calibrated risks of each exam, so many at a time: a GPU takes another kernel where the shape is another."""
    found: list[Sequence[float]] = []
    while len(found) < len(exams):
        batch = islice(cycle(exams), len(found), len(found) + together)
        found += map(card.calibration.risks, network.raw_risks(torch.cat(list(batch))))
    return found[: len(exams)]


def _difference(found: Sequence[Sequence[float]], expected: Sequence[Sequence[float]]) -> float:
    difference = float(np.abs(np.subtract(found, expected)).max())
    return difference if difference <= 1 else 1.0  # what is no number is as wrong as a risk can be


def _exams(form: PictureFormat) -> Iterator[Tensor]:
    """Exams in the size of the model's pictures, (1, 4, 1, rows, columns): noise, and synthetic mammograms."""
    for tag in NOISE_TAGS:
        yield noise_pictures(tag, form.rows, form.columns)
    for number, woman in enumerate(WOMEN):
        signal, vendor = number / (len(WOMEN) - 1), VENDORS[number % len(VENDORS)]
        exam = PhantomExam(woman, date(2026, 1, 15), signal, vendor=vendor, rows=form.rows, columns=form.columns)
        yield torch.from_numpy(np.stack([picture(image, form) for image in dicom_images(exam)])[None])


def noise_pictures(tag: str, rows: int, columns: int) -> Tensor:
    """Normalised pictures of one exam, (1, 4, 1, rows, columns), always the same for a tag."""
    values = np.random.default_rng(zlib.crc32(tag.encode())).standard_normal((4, 1, rows, columns))
    return torch.from_numpy(values.astype(np.float32))[None]
