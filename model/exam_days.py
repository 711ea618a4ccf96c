"""On which day an exam was taken, and which of its images later than another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Final

from pydicom import Dataset

from model.headers import text

_TIME: Final = re.compile(r"\d{2,6}(\.\d+)?")


def exam_date(images: Iterable[Dataset]) -> date | None:
    """The day of the exam: StudyDate, else the day of the first acquisition, else of the content."""
    images = list(images)
    for keyword in ("StudyDate", "AcquisitionDate", "ContentDate"):
        days = [day for day in (day_of(text(image, keyword)) for image in images) if day]
        if days:
            return min(days)
    return None


def taken_at(image: Dataset, exam_day: date) -> tuple[date, str]:
    """Day and time of the acquisition, else of the content; a time without its day is taken for the exam's day's."""
    in_one = text(image, "AcquisitionDateTime")
    written = [
        (in_one[:8], in_one[8:]),
        (text(image, "AcquisitionDate"), text(image, "AcquisitionTime")),
        (text(image, "ContentDate"), text(image, "ContentTime")),
    ]
    moments = [(day_of(day), _time(time)) for day, time in written]
    timed = [moment for moment in moments if moment[1]]
    dated = [moment for moment in moments if moment[0]]
    day, time = next(iter(timed + dated), (None, ""))
    return day or exam_day, time


def _time(written: str) -> str:
    """The digits of a time of day, of which any two can be compared: HHMMSS.F, with the colons of old files or not."""
    match = _TIME.match(written.replace(":", ""))
    return match[0] if match else ""


def day_of(written: str) -> date | None:
    """YYYYMMDD and nothing shorter: `strptime` would read 2026111 as some day or other."""
    if len(written) != 8 or not written.isdecimal():
        return None
    try:
        return date(int(written[:4]), int(written[4:6]), int(written[6:]))
    except ValueError:
        return None
