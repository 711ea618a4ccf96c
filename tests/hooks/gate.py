"""Exams as the model's own gate refuses them, for every reason that it knows, in its own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache

from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence

from model.card import DEMO_MODEL
from model.domain import ExclusionReason, RefusedExam
from model.scorer import Scorer
from tests.builders import cad_report, mammogram, screening_exam, tomosynthesis

AT = datetime(2026, 5, 4, 3, tzinfo=UTC)
STUDY = "1.2.99"
Exam = Sequence[Dataset]


def with_first(**elements: object) -> Exam:
    """An exam whose left CC image has these elements."""
    images = screening_exam(STUDY)
    for keyword, value in elements.items():
        setattr(images[0], keyword, value)
    return images


def without_dates() -> Exam:
    """An exam of no known day."""
    images = screening_exam(STUDY)
    for image in images:
        del image.StudyDate
    return images


def magnified() -> Exam:
    """An exam whose left CC view is a magnification."""
    modifier, view = Dataset(), Dataset()
    modifier.CodeValue, modifier.CodeMeaning = "399163009", "Magnification"
    view.CodeValue, view.ViewModifierCodeSequence = "399162004", DicomSequence([modifier])
    return with_first(ViewCodeSequence=DicomSequence([view]))


EXAMS: Mapping[ExclusionReason, Callable[[], Exam]] = {
    ExclusionReason.NOT_FOR_PRESENTATION: lambda: with_first(PresentationIntentType="FOR PROCESSING"),
    ExclusionReason.NOT_MAMMOGRAPHY: lambda: [cad_report(STUDY)],
    ExclusionReason.TOMOSYNTHESIS: lambda: [tomosynthesis(STUDY)],
    ExclusionReason.SYNTHETIC_2D: lambda: with_first(SeriesDescription="C-View"),
    ExclusionReason.VIEW_UNKNOWN: lambda: with_first(ImageLaterality=""),
    ExclusionReason.NOT_A_SCREENING_VIEW: lambda: with_first(ViewPosition="ML"),
    ExclusionReason.VIEW_MODIFIER: magnified,
    ExclusionReason.PARTIAL_VIEW: lambda: with_first(PartialView="YES"),
    ExclusionReason.IMPLANT: lambda: with_first(BreastImplantPresent="YES"),
    ExclusionReason.QUALITY_CONTROL_IMAGE: lambda: with_first(QualityControlImage="YES"),
    ExclusionReason.CONTRAST_ENHANCED: lambda: with_first(ContrastBolusAgent="Iohexol"),
    ExclusionReason.BURNED_IN_ANNOTATION: lambda: with_first(BurnedInAnnotation="YES"),
    ExclusionReason.DUPLICATE_VIEW: lambda: [*screening_exam(STUDY)[:3], mammogram("L CC", STUDY)],
    ExclusionReason.UNREADABLE_PIXELS: lambda: with_first(PixelData=b"\0" * 10),
    ExclusionReason.MISSING_VIEW: lambda: screening_exam(STUDY)[:3],
    ExclusionReason.MIXED_PATIENTS: lambda: with_first(PatientID="MRN-2"),
    ExclusionReason.MIXED_STUDIES: lambda: with_first(StudyInstanceUID="1.2.98"),
    ExclusionReason.NO_IMAGES: list,
    ExclusionReason.NO_EXAM_DATE: without_dates,
    ExclusionReason.DEVICE_NOT_VALIDATED: lambda: screening_exam(STUDY),
}
"""An exam for each reason; several may come with others, as they do at a site."""


@cache
def refusals() -> Mapping[ExclusionReason, RefusedExam]:
    """The refused exam for each reason, all of one day, but the one that has none."""
    strict = Scorer(DEMO_MODEL, "cpu", refuse_unvalidated_devices=True)
    lenient = Scorer(DEMO_MODEL, "cpu")
    refused = {}
    for reason, images in EXAMS.items():
        scorer = strict if reason is ExclusionReason.DEVICE_NOT_VALIDATED else lenient
        outcome = scorer.prepare(images(), at=AT)
        assert isinstance(outcome, RefusedExam), reason
        undated = reason is ExclusionReason.NO_EXAM_DATE
        refused[reason] = replace(outcome, study_uid=STUDY, performed_on=None if undated else date(2026, 5, 3))
    return refused
