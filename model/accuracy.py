"""The accuracy check: how far a lower precision moves a model's risks, against float32 on the same device."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
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
from model.processor import Processor

NOISE_TAGS: Final = ("input.small", "input.full")
"""Names, and so the seeds, of the pictures that the original model's recorded numbers were computed from."""

WOMEN: Final = range(8_100_001, 8_100_005)
"""Phantoms of the check; the strength of their planted signal rises from none to the strongest."""


def check_accuracy(
    model_folder: Path, processor: Processor, models_folder: Path, *, at: datetime, calibration: Path | None = None
) -> AccuracyRecord:
    """Compare the processor with float32 on its device, and keep what was found, good or bad, in the models folder.

    `calibration` is the file of a site's own: a steep one makes more of a difference than the model's does.
    """
    network, card = load_network(model_folder, processor.device)
    card = calibrated_by(card, calibration)
    exact, fast = RiskNetwork(network, replace(processor, precision=Precision.FLOAT32)), RiskNetwork(network, processor)
    largest = max(_difference(exact, fast, card, exam) for exam in _exams(PictureFormat(**card.picture)))
    record = AccuracyRecord(subject_of(card, processor), largest, LARGEST_SHIFT, at.isoformat(timespec="seconds"))
    write_record(record, models_folder)
    return record


def _difference(exact: RiskNetwork, fast: RiskNetwork, card: ModelCard, exam: Tensor) -> float:
    expected, found = (card.calibration.risks(network.raw_risks(exam)[0]) for network in (exact, fast))
    difference = float(np.abs(np.subtract(expected, found)).max())
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
