from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from model.card import DEMO_MODEL
from model.domain import STANDARD_VIEWS, AcquisitionDevice, ExclusionReason, ImageType, RefusedExam, ScoredExam
from model.errors import CheckpointBroken, DeviceBusy, DeviceLost
from model.phantom import AURORA, BOREALIS, PhantomExam, dicom_images, file_bytes
from model.prepared import PreparedExam
from model.provenance import pixel_digest, software
from model.scorer import Scorer
from tests.builders import cad_report, mammogram
from tests.model.film import FILM_CASES, real_film_exam
from tests.model.tiny_model import install_tiny_model

AT = datetime(2026, 1, 6, 3, 15, tzinfo=UTC)
PHANTOM = PhantomExam(7, date(2025, 6, 2), 0.4, rows=128, columns=104)
Exam = list[pydicom.FileDataset]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    """The model that ships with the package: unlike random weights it tells two women apart."""
    return Scorer(DEMO_MODEL, "cpu")


def images_of(exam: PhantomExam = PHANTOM) -> Exam:
    return [pydicom.dcmread(BytesIO(file_bytes(image))) for image in dicom_images(exam)]


def scored(scorer: Scorer, images: Exam, gate: bool = True) -> ScoredExam:
    outcome = scorer.score_exam(images, at=AT, gate=gate)
    assert isinstance(outcome, ScoredExam), outcome
    return outcome


def refused(scorer: Scorer, images: Exam) -> RefusedExam:
    outcome = scorer.score_exam(images, at=AT)
    assert isinstance(outcome, RefusedExam), outcome
    return outcome


def test_a_phantom_is_scored_with_all_that_is_needed_to_compare_it(scorer: Scorer) -> None:
    exam = scored(scorer, images_of())
    assert (exam.study_uid, exam.performed_on, exam.scored_at) == (PHANTOM.study_uid, date(2025, 6, 2), AT)
    assert exam.device == AcquisitionDevice("Phantom Imaging", "Aurora 2D", "3.1")
    assert (exam.image_type, exam.warnings) == (ImageType.FFDM, ())
    assert exam.score.model == scorer.card.version
    assert list(exam.score.raw) == sorted(exam.score.raw)
    assert exam.score.calibrated == scorer.card.calibration.risks(exam.score.raw)


def test_two_women_get_two_scores(scorer: Scorer) -> None:
    other = replace(PHANTOM, woman=8)
    assert abs(scored(scorer, images_of()).score.raw[-1] - scored(scorer, images_of(other)).score.raw[-1]) > 1e-4


def test_the_order_of_the_images_does_not_matter(scorer: Scorer) -> None:
    images = images_of()
    expected = scored(scorer, images)
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        assert scored(scorer, [images[i] for i in order]) == expected


def test_scoring_twice_gives_the_very_same_score(scorer: Scorer) -> None:
    assert scored(scorer, images_of()) == scored(scorer, images_of())


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
    ids=lambda syntax: syntax.keyword,
)
def test_the_transfer_syntax_does_not_change_the_score(scorer: Scorer, syntax: UID) -> None:
    images = images_of(replace(PHANTOM, transfer_syntax=syntax))
    assert {image.file_meta.TransferSyntaxUID for image in images} == {syntax}
    exam, uncompressed = scored(scorer, images), scored(scorer, images_of())
    assert exam.score == uncompressed.score
    digests = [[source.sha256 for source in one.provenance.images] for one in (exam, uncompressed)]
    assert digests[0] == digests[1]


def test_inverted_storage_does_not_change_the_score_by_more_than_the_last_grey_level(scorer: Scorer) -> None:
    upright = scored(scorer, images_of(replace(PHANTOM, vendor=AURORA)))
    inverted = scored(scorer, images_of(replace(PHANTOM, vendor=BOREALIS)))
    assert inverted.score.raw == pytest.approx(upright.score.raw, abs=1e-4)
    assert inverted.device.manufacturer == "Synthetic Mammography"


def test_the_score_does_not_depend_on_the_exams_scored_beside_it(scorer: Scorer) -> None:
    exams = [prepared(scorer, images_of(replace(PHANTOM, woman=woman))) for woman in (7, 8, 9)]
    together = scorer.score(exams)
    for exam, outcome in zip(exams, together, strict=True):
        (alone,) = scorer.score([exam])
        assert isinstance(outcome, ScoredExam)
        assert isinstance(alone, ScoredExam)
        assert outcome.score.raw == pytest.approx(alone.score.raw, abs=1e-6)
        assert replace(outcome, score=alone.score) == alone


def test_no_exams_give_no_scores(scorer: Scorer) -> None:
    assert scorer.score([]) == []


def test_preparing_and_scoring_give_what_they_give_in_a_row(scorer: Scorer) -> None:
    assert scorer.score([prepared(scorer, images_of())]) == [scored(scorer, images_of())]


def test_exams_are_prepared_on_several_threads_while_another_is_scored(scorer: Scorer) -> None:
    exams = [images_of(replace(PHANTOM, woman=woman)) for woman in (7, 8, 9, 10)]
    expected = [scored(scorer, exam) for exam in exams]
    with ThreadPoolExecutor(2) as threads:
        coming = threads.map(lambda exam: prepared(scorer, exam), exams)
        assert [scorer.score([exam])[0] for exam in coming] == expected


def test_a_prepared_exam_says_how_much_memory_its_pictures_take(scorer: Scorer) -> None:
    picture = scorer.card.picture
    assert prepared(scorer, images_of()).bytes_held == 4 * picture["rows"] * picture["columns"] * 4


def test_a_cpu_scores_one_exam_at_a_time_unless_told_otherwise() -> None:
    assert Scorer(DEMO_MODEL, "cpu").batch_exams == 1
    assert Scorer(DEMO_MODEL, "cpu", batch_exams=5).batch_exams == 5


def prepared(scorer: Scorer, images: Exam) -> PreparedExam:
    exam = scorer.prepare(images, at=AT)
    assert isinstance(exam, PreparedExam), exam
    return exam


class Fails:
    """A picture, or the images of an exam, at which torch says this."""

    nbytes = 0

    def __init__(self, said: Exception) -> None:
        self._said = said

    def __array__(self, dtype: object = None, copy: object = None) -> None:
        raise self._said

    def __iter__(self) -> Iterator[pydicom.Dataset]:
        raise self._said


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), DeviceLost),
        (torch.OutOfMemoryError("CUDA out of memory."), DeviceBusy),
        (RuntimeError("shapes differ"), RuntimeError),
    ],
)
def test_a_fault_of_the_device_is_none_of_the_exam(scorer: Scorer, said: Exception, fault: type[Exception]) -> None:
    pictures: Any = (Fails(said),) * 4
    with pytest.raises(fault):
        scorer.score([replace(prepared(scorer, images_of()), pictures=pictures)])
    images: Any = Fails(said)
    with pytest.raises(fault):
        scorer.prepare(images, at=AT)


def test_a_score_names_its_four_images_in_the_standard_order_and_what_computed_it(scorer: Scorer) -> None:
    images = images_of()
    provenance = scored(scorer, images[::-1]).provenance
    assert [source.view for source in provenance.images] == list(STANDARD_VIEWS)
    assert [source.uid for source in provenance.images] == [image.SOPInstanceUID for image in images]
    assert [source.sha256 for source in provenance.images] == [pixel_digest(image.pixel_array) for image in images]
    assert (provenance.processor, provenance.software) == ("cpu", software())


def test_an_image_replaced_by_another_with_the_same_uid_shows_in_the_provenance(scorer: Scorer) -> None:
    images, altered = images_of(), images_of()
    stored = altered[2].pixel_array.copy()
    stored[60, 50] ^= 1
    altered[2].PixelData = stored.tobytes()
    before, after = scored(scorer, images).provenance.images, scored(scorer, altered).provenance.images
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, True]
    assert before[2].uid == after[2].uid


def test_an_exam_of_three_views_is_refused_by_name(scorer: Scorer) -> None:
    exam = refused(scorer, images_of(replace(PHANTOM, views=PHANTOM.views[:3])))
    assert (exam.study_uid, exam.performed_on) == (PHANTOM.study_uid, date(2025, 6, 2))
    assert [exclusion.reason for exclusion in exam.exclusions] == [ExclusionReason.MISSING_VIEW]
    assert "R MLO" in exam.exclusions[0].sentence


def test_an_exam_without_images_is_refused(scorer: Scorer) -> None:
    exam = scorer.score_exam([], at=AT, performed_on=date(2025, 6, 2))
    assert isinstance(exam, RefusedExam)
    assert [exclusion.reason for exclusion in exam.exclusions] == [ExclusionReason.NO_IMAGES]


def test_every_view_with_unreadable_pixels_is_named_with_its_image(scorer: Scorer) -> None:
    images = images_of()
    images[1].PixelData = images[1].PixelData[:100]
    images[2].Rows = 4
    exam = refused(scorer, images)
    assert [e.reason for e in exam.exclusions] == [ExclusionReason.UNREADABLE_PIXELS] * 2
    assert [e.sentence[:6].rstrip(": ") for e in exam.exclusions] == ["R CC", "L MLO"]
    assert [e.image_uid for e in exam.exclusions] == [images[1].SOPInstanceUID, images[2].SOPInstanceUID]


def test_a_blank_view_is_refused_rather_than_scored(scorer: Scorer) -> None:
    images = images_of()
    images[0].PixelData = bytes(len(images[0].PixelData))
    assert "blank" in refused(scorer, images).exclusions[0].sentence


def test_an_exam_without_a_date_takes_the_day_it_is_given_or_is_refused(scorer: Scorer) -> None:
    images = images_of()
    for image in images:
        del image.StudyDate, image.AcquisitionDate, image.ContentDate
    assert [e.reason for e in refused(scorer, images).exclusions] == [ExclusionReason.NO_EXAM_DATE]
    exam = scorer.score_exam(images, at=AT, performed_on=date(2025, 6, 3))
    assert isinstance(exam, ScoredExam)
    assert exam.performed_on == date(2025, 6, 3)


def test_the_date_in_the_images_is_believed_before_the_one_given(scorer: Scorer) -> None:
    exam = scorer.score_exam(images_of(), at=AT, performed_on=date(1999, 1, 1))
    assert exam.performed_on == date(2025, 6, 2)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("99991231", "lies in the future"),
        ("20260108", "lies in the future"),
        ("19791231", "too early"),
        ("00010101", "too early"),
    ],
)
def test_an_exam_with_a_date_that_cannot_be_is_refused_without_a_day(scorer: Scorer, written: str, said: str) -> None:
    exam = refused(scorer, dated(written))
    assert exam.performed_on is None
    assert [e.reason for e in exam.exclusions] == [ExclusionReason.NO_EXAM_DATE]
    assert said in exam.exclusions[0].sentence


@pytest.mark.parametrize("written", ["19800101", "20260106", "20260107"])
def test_an_exam_of_any_day_since_1980_up_to_a_day_ahead_is_scored(scorer: Scorer, written: str) -> None:
    assert scored(scorer, dated(written)).performed_on.strftime("%Y%m%d") == written


def test_a_day_that_cannot_be_is_refused_whoever_gives_it(scorer: Scorer) -> None:
    exam = scorer.score_exam(dated(""), at=AT, performed_on=date(9999, 12, 31))
    assert isinstance(exam, RefusedExam)


def test_with_the_gate_off_a_date_that_cannot_be_is_a_warning(scorer: Scorer) -> None:
    exam = scorer.score_exam(dated("19600101"), at=AT, gate=False)
    assert isinstance(exam, ScoredExam)
    assert any("1960-01-01" in warning for warning in exam.warnings)


def dated(written: str) -> Exam:
    """An exam whose images all carry this day."""
    images = images_of()
    for image in images:
        image.StudyDate = image.AcquisitionDate = image.ContentDate = written
    return images


def test_what_is_left_out_does_not_name_the_exam(scorer: Scorer) -> None:
    stranger = cad_report("9.9.9")
    stranger.StudyDate = "19990101"
    exam = scored(scorer, [stranger, *images_of()])
    assert (exam.study_uid, exam.performed_on) == (PHANTOM.study_uid, date(2025, 6, 2))


def test_images_of_another_patient_are_never_scored_with_the_exam(scorer: Scorer) -> None:
    images = images_of()
    images[3].PatientID = "SOMEBODY-ELSE"
    exam = refused(scorer, images)
    assert [e.reason for e in exam.exclusions] == [ExclusionReason.MIXED_PATIENTS]
    assert "SOMEBODY" not in str(exam)


def test_with_the_gate_off_an_exam_is_scored_with_every_objection_as_a_warning(scorer: Scorer) -> None:
    images = images_of()
    for image in images:
        image.PresentationIntentType = "FOR PROCESSING"
    assert ExclusionReason.NOT_FOR_PRESENTATION in {e.reason for e in refused(scorer, images).exclusions}
    exam = scored(scorer, images, gate=False)
    assert len(exam.warnings) == 4
    assert exam.score == scored(scorer, images_of()).score


def test_synthetic_pictures_scored_with_the_gate_off_are_marked_as_such(scorer: Scorer) -> None:
    images = images_of()
    for image in images:
        image.SeriesDescription = "C-View"
    assert scored(scorer, images, gate=False).image_type is ImageType.SYNTHETIC_2D


def test_noise_that_claims_to_be_an_exam_still_gives_five_fractions(scorer: Scorer) -> None:
    images = [mammogram(view, seed=seed) for seed, view in enumerate(("L CC", "R CC", "L MLO", "R MLO"))]
    exam = scored(scorer, images)
    assert np.isfinite(exam.score.calibrated).all()


def test_a_card_without_the_size_of_its_pictures_as_we_name_it_is_refused(tmp_path: Path) -> None:
    install_tiny_model(tmp_path, picture={"height": 64})
    with pytest.raises(CheckpointBroken, match="pictures"):
        Scorer(tmp_path, "cpu")


@pytest.mark.integration
@pytest.mark.parametrize("case", FILM_CASES)
def test_a_real_film_exam_is_refused_by_the_gate_and_scored_for_research(scorer: Scorer, case: str) -> None:
    images = real_film_exam(case)
    refused(scorer, images)
    exam = scored(scorer, images, gate=False)
    assert any("different studies" in warning for warning in exam.warnings)
    assert scored(scorer, images[::-1], gate=False) == exam
