"""On which day an exam was taken; which image is later is told by the gate's tests."""

from __future__ import annotations

import warnings
from datetime import date

import pytest
from pydicom import Dataset

from model.exam_days import exam_date


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("20260105", date(2026, 1, 5)),
        ("00000000", None),
        ("2026111", None),
        ("202611", None),
        ("20260231", None),
        ("2026.1.5", None),
        ("", None),
    ],
)
def test_an_exam_date_is_read_only_from_eight_digits(written: str, expected: date | None) -> None:
    image = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns when the test writes what files hold
        image.StudyDate = written
    assert exam_date([image]) == expected


def test_an_exam_date_falls_back_to_the_acquisition_and_then_the_content() -> None:
    image = Dataset()
    image.ContentDate = "20260107"
    assert exam_date([image]) == date(2026, 1, 7)
    image.AcquisitionDate = "20260106"
    assert exam_date([image]) == date(2026, 1, 6)
    image.StudyDate = "20260105"
    assert exam_date([image]) == date(2026, 1, 5)


def test_an_exam_over_midnight_has_the_day_it_began_whatever_the_order() -> None:
    days = [Dataset(), Dataset()]
    days[0].StudyDate, days[1].StudyDate = "20260106", "20260105"
    assert exam_date(days) == exam_date(days[::-1]) == date(2026, 1, 5)
