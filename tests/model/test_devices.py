from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from model.card import DEMO_MODEL, read_card
from model.devices import MIRAI_DEVICES, ValidatedDevice, not_validated
from model.domain import AcquisitionDevice, ExclusionReason, RefusedExam, ScoredExam
from model.phantom import PhantomExam, Vendor, dicom_images
from model.scorer import Scorer

AT = datetime(2026, 5, 4, 3, tzinfo=UTC)
UNKNOWN_UNIT = Vendor("Somebody Else", "Mammo 9000", "1", view_by_code=True)


@pytest.mark.parametrize(
    ("manufacturer", "model_name", "validated"),
    [
        ("HOLOGIC, Inc.", "Selenia Dimensions", True),
        ("Hologic", "selenia", True),
        ("LORAD, A Hologic Company", "Lorad Selenia", True),
        ("HOLOGIC, Inc.", "3Dimensions", False),
        ("HOLOGIC, Inc.", "", False),
        ("Hologicum", "Selenia", False),
        ("GE MEDICAL SYSTEMS", "Senographe Pristina", False),
        ("", "", False),
    ],
)
def test_mirai_was_validated_on_hologic_selenia_and_selenia_dimensions_only(
    manufacturer: str, model_name: str, validated: bool
) -> None:
    assert (not_validated(AcquisitionDevice(manufacturer, model_name), MIRAI_DEVICES) is None) is validated


def test_the_sentence_names_the_unit_or_says_that_nobody_does() -> None:
    named = not_validated(AcquisitionDevice("Somebody Else", "Mammo 9000", "1"), MIRAI_DEVICES)
    assert named == "The model was not validated on this mammography unit (Somebody Else Mammo 9000)."
    assert "do not name" in (not_validated(AcquisitionDevice(), MIRAI_DEVICES) or "")


def test_a_card_without_a_list_validates_nothing() -> None:
    assert not_validated(AcquisitionDevice("HOLOGIC", "Selenia"), ()) is not None


def test_the_demo_models_card_lists_the_phantoms_units() -> None:
    assert ValidatedDevice("Phantom Imaging", "Aurora 2D") in read_card(DEMO_MODEL).validated_devices


def exam_of(vendor: Vendor, folder: Path = DEMO_MODEL, *, refuse: bool) -> ScoredExam | RefusedExam:
    exam = PhantomExam(41, date(2026, 5, 1), 0.3, vendor=vendor, rows=512, columns=416)
    scorer = Scorer(folder, "cpu", refuse_unvalidated_devices=refuse)
    return scorer.score_exam(list(dicom_images(exam)), at=AT)


def test_an_unvalidated_unit_is_a_warning_on_the_score() -> None:
    scored = exam_of(UNKNOWN_UNIT, refuse=False)
    assert isinstance(scored, ScoredExam)
    assert scored.warnings == ("The model was not validated on this mammography unit (Somebody Else Mammo 9000).",)


def test_an_unvalidated_unit_is_a_refusal_where_the_site_wants_it() -> None:
    refused = exam_of(UNKNOWN_UNIT, refuse=True)
    assert isinstance(refused, RefusedExam)
    assert [exclusion.reason for exclusion in refused.exclusions] == [ExclusionReason.DEVICE_NOT_VALIDATED]


def test_a_validated_unit_is_scored_without_a_word_even_then() -> None:
    vendor = Vendor("Phantom Imaging", "Aurora 2D", "3.1", view_by_code=True)
    scored = exam_of(vendor, refuse=True)
    assert isinstance(scored, ScoredExam)
    assert scored.warnings == ()
