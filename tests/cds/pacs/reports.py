"""Scores to report and reports read back, for the tests of both."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from highdicom.sr import srread
from pydicom.dataset import Dataset, FileDataset

from model.domain import STANDARD_VIEWS, Provenance, ScoredExam, SourceImage
from tests.builders import file_bytes
from tests.cds.builders import scored

STUDY = "1.2.1"


def scored_from(images: Sequence[FileDataset], **changes: Any) -> ScoredExam:
    """A score made from these four images."""
    sources = tuple(
        SourceImage(view, str(image.SOPInstanceUID), "ab" * 32)
        for view, image in zip(STANDARD_VIEWS, images, strict=True)
    )
    provenance = Provenance(sources, "cpu", "mammotrend 0.1.0, torch 2.6.0")
    return scored(str(images[0].StudyInstanceUID), **{"provenance": provenance, **changes})


def measurement_groups(report: Dataset) -> list[Any]:
    """The groups of measurements of a report, read from its file."""
    document: Any = srread(BytesIO(file_bytes(report)))
    return list(document.content.get_image_measurement_groups())
