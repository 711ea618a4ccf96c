"""The small pictures of an exam: how they hang, and what stands where there is none."""

from __future__ import annotations

from datetime import date
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cds.demo.dicom_folder import DicomFolder
from cds.demo.ehr_page.mammograms import Exam, exam, png
from model.domain import STANDARD_VIEWS
from model.errors import ModelError
from model.phantom import PhantomExam, dicom_images

DAY = date(2026, 5, 3)


def filed(images: DicomFolder, views: int = 4, **attributes: object) -> Exam:
    """An exam of some standard views, as the archive has it."""
    visit = PhantomExam(1, DAY, 0.5, "DEMO", rows=256, columns=208, views=STANDARD_VIEWS[:views])
    for image in dicom_images(visit):
        for keyword, value in attributes.items():
            setattr(image, keyword, value)
        images.add(image)
    held = exam(images, visit.study_uid)
    assert held is not None
    return held


def shown(file: Path | None, height: int) -> Image.Image:
    """The picture of a file."""
    assert file is not None
    return Image.open(BytesIO(png(file, height)))


def test_the_views_hang_back_to_back_right_breast_first(images: DicomFolder) -> None:
    held = filed(images)
    assert [picture.label for picture in held.pictures] == ["R CC", "L CC", "R MLO", "L MLO"]
    assert len({picture.file for picture in held.pictures}) == 4
    assert held.device == "Phantom Imaging Aurora 2D 3.1"


def test_a_view_that_is_not_there_keeps_its_place_empty(images: DicomFolder) -> None:
    assert [picture.label for picture in filed(images, views=3).pictures if picture.file is None] == ["R MLO"]


def test_images_whose_header_does_not_say_the_view_are_shown_as_such(images: DicomFolder) -> None:
    held = filed(images, ViewPosition="", ViewCodeSequence=[])
    assert [picture.label for picture in held.pictures] == ["view not stated"] * 4
    assert None not in [picture.file for picture in held.pictures]


@pytest.mark.parametrize("study_uid", [None, "1.2.3"])
def test_a_study_that_the_archive_does_not_hold_has_no_pictures(images: DicomFolder, study_uid: str | None) -> None:
    filed(images)
    assert exam(images, study_uid) is None


def test_a_picture_is_as_high_as_asked_and_keeps_its_shape(images: DicomFolder) -> None:
    small = shown(filed(images).pictures[0].file, 64)
    assert (small.format, small.mode, small.size) == ("PNG", "L", (52, 64))


def test_the_tissue_is_bright_although_the_marker_is_brighter(images: DicomFolder) -> None:
    grey = np.asarray(shown(filed(images).pictures[1].file, 200))
    assert 180 < np.percentile(grey, 99) < 235
    assert np.percentile(grey, 5) < 5


def test_a_picture_that_cannot_be_decoded_is_an_error_and_no_black_picture(images: DicomFolder) -> None:
    file = filed(images, BitsAllocated=32).pictures[0].file
    assert file is not None
    with pytest.raises(ModelError):
        png(file, 64)
