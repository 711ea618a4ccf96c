from __future__ import annotations

from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from model.decoding import stored_pixels
from model.domain import STANDARD_VIEWS, Laterality, View, ViewPosition
from model.phantom import (
    AURORA,
    BOREALIS,
    PhantomExam,
    dicom_images,
    file_bytes,
    focus_centre,
    history,
    pixels,
    planted_risk,
    signal_for,
)
from model.preprocessing import window
from model.views import select_views
from tests.model.dcmtk import dcmtk

EXAM = PhantomExam(11, date(2025, 6, 2), 0.5, rows=256, columns=208)


def reread(exam: PhantomExam) -> list[pydicom.FileDataset]:
    return [pydicom.dcmread(BytesIO(file_bytes(image))) for image in dicom_images(exam)]


@pytest.mark.parametrize("vendor", [AURORA, BOREALIS], ids=lambda vendor: vendor.model_name)
def test_every_vendor_s_phantom_passes_the_clinical_gate(vendor: object) -> None:
    selection = select_views(reread(replace(EXAM, vendor=vendor)))  # type: ignore[arg-type] # pytest's parameter
    assert list(selection.images) == list(STANDARD_VIEWS)
    assert (selection.exclusions, selection.warnings) == ((), ())


def test_one_vendor_names_the_view_by_code_and_the_other_by_its_letters() -> None:
    by_code, by_letters = next(dicom_images(EXAM)), next(dicom_images(replace(EXAM, vendor=BOREALIS)))
    assert ("ViewCodeSequence" in by_code, "ViewPosition" in by_code) == (True, False)
    assert ("ViewCodeSequence" in by_letters, "ViewPosition" in by_letters) == (False, True)


@pytest.mark.integration
@pytest.mark.parametrize("vendor", [AURORA, BOREALIS], ids=lambda vendor: vendor.model_name)
def test_dcmtk_reads_every_phantom_as_a_dicom_file(vendor: object, tmp_path: Path) -> None:
    for number, image in enumerate(dicom_images(replace(EXAM, vendor=vendor))):  # type: ignore[arg-type] # see above
        (tmp_path / f"{number}.dcm").write_bytes(file_bytes(image))
        assert "yes" in dcmtk("dcmftest", str(tmp_path / f"{number}.dcm"))
        dumped = dcmtk("dcmdump", str(tmp_path / f"{number}.dcm"))
        assert "=DigitalMammographyXRayImageStorageForPresentation" in dumped
        assert not [line for line in dumped.splitlines() if line.startswith(("W:", "E:"))]


def test_the_same_visit_always_gives_the_same_files() -> None:
    assert [file_bytes(image) for image in dicom_images(EXAM)] == [file_bytes(image) for image in dicom_images(EXAM)]


def test_every_image_of_an_exam_has_its_own_uid_and_the_study_s() -> None:
    images = list(dicom_images(EXAM))
    assert len({image.SOPInstanceUID for image in images}) == 4
    assert {image.StudyInstanceUID for image in images} == {EXAM.study_uid}


@pytest.mark.parametrize(
    "other",
    [{"woman": 12}, {"performed_on": date(2025, 6, 3)}, {"patient_id": "MRN-9"}],
    ids=lambda other: next(iter(other)),
)
def test_another_woman_day_or_patient_is_another_study(other: dict[str, object]) -> None:
    assert replace(EXAM, **other).study_uid != EXAM.study_uid  # type: ignore[arg-type] # real fields of the exam


def _likeness(one: PhantomExam, other: PhantomExam, view: View) -> float:
    """Correlation of the coarse pictures inside the tissue, so that noise and small shifts do not count."""
    coarse = [
        pixels(exam, view).astype(float).reshape(32, 8, 26, 8).mean(axis=(1, 3))[4:28, :13] for exam in (one, other)
    ]
    return float(np.corrcoef(coarse[0].ravel(), coarse[1].ravel())[0, 1])


def test_a_woman_keeps_her_anatomy_from_year_to_year() -> None:
    view = View(Laterality.LEFT, ViewPosition.CC)
    exams = [replace(EXAM, signal=0.0), replace(EXAM, signal=0.0, performed_on=date(2026, 6, 2))]
    assert not np.array_equal(pixels(exams[0], view), pixels(exams[1], view))
    assert _likeness(exams[0], exams[1], view) > 0.98
    assert _likeness(exams[0], exams[1], view) > _likeness(exams[0], replace(exams[1], woman=12), view)


@pytest.mark.parametrize("woman", [1, 2, 3, 4])
def test_a_signal_is_planted_in_both_views_of_one_breast_only(woman: int) -> None:
    without, with_signal = (replace(EXAM, woman=woman, signal=signal) for signal in (0.0, 1.0))
    brighter = {v for v in STANDARD_VIEWS if pixels(with_signal, v).sum() > pixels(without, v).sum()}
    same = {v for v in STANDARD_VIEWS if np.array_equal(pixels(with_signal, v), pixels(without, v))}
    assert {view.laterality for view in brighter} == {view.laterality for view in brighter if focus_centre(woman, view)}
    assert len({view.laterality for view in brighter}) == 1
    assert (len(brighter), brighter | same) == (2, set(STANDARD_VIEWS))


def test_a_stronger_signal_is_brighter_at_its_focus() -> None:
    view = next(view for view in STANDARD_VIEWS if focus_centre(EXAM.woman, view))
    sums = [int(pixels(replace(EXAM, signal=signal), view).sum(dtype=np.int64)) for signal in (0.0, 0.3, 0.6, 0.9)]
    assert sums == sorted(set(sums))


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
    ids=lambda syntax: syntax.keyword,
)
def test_every_transfer_syntax_keeps_every_pixel(syntax: UID) -> None:
    for image, view in zip(reread(replace(EXAM, transfer_syntax=syntax)), STANDARD_VIEWS, strict=True):
        assert image.file_meta.TransferSyntaxUID == syntax
        assert np.array_equal(stored_pixels(image), pixels(EXAM, view))


def test_the_inverted_vendor_stores_the_same_picture_upside_down_in_brightness() -> None:
    for upright, inverted in zip(reread(EXAM), reread(replace(EXAM, vendor=BOREALIS)), strict=True):
        assert inverted.PhotometricInterpretation == "MONOCHROME1"
        assert np.array_equal(stored_pixels(inverted), 4095 - stored_pixels(upright))
        shown = [window(stored_pixels(image), image).astype(int) for image in (upright, inverted)]
        assert np.abs(shown[0] - shown[1]).max() <= 1


def test_a_vendor_with_a_sigmoid_window_says_so() -> None:
    vendor = replace(AURORA, sigmoid_window=True)
    assert next(dicom_images(replace(EXAM, vendor=vendor))).VOILUTFunction == "SIGMOID"


@pytest.mark.parametrize("view", STANDARD_VIEWS, ids=str)
def test_the_chest_wall_hangs_on_the_side_of_the_breast(view: View) -> None:
    grey = pixels(EXAM, view)
    left, right = grey[:, :52].sum(dtype=np.int64), grey[:, -52:].sum(dtype=np.int64)
    assert (left > right) == (view.laterality is Laterality.LEFT)


def test_a_left_out_view_is_missing_and_the_others_are_the_same() -> None:
    images = reread(replace(EXAM, views=STANDARD_VIEWS[1:]))
    assert [image.SOPInstanceUID for image in images] == [image.SOPInstanceUID for image in reread(EXAM)[1:]]


def test_a_history_is_one_woman_on_several_days() -> None:
    exams = history(EXAM, {date(2024, 1, 1): 0.2, date(2025, 1, 1): 0.4})
    assert [(exam.woman, exam.performed_on.year, exam.signal) for exam in exams] == [(11, 2024, 0.2), (11, 2025, 0.4)]


@pytest.mark.parametrize("risk", [0.01, 0.017, 0.021, 0.066, 0.2])
def test_the_signal_for_a_risk_stands_for_that_risk(risk: float) -> None:
    assert planted_risk(np.array([signal_for(risk)])) == pytest.approx([risk])
