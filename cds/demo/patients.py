"""The embedded hospital's patients: eight invented women, each there to show one thing, all dates relative to today."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from model.domain import STANDARD_VIEWS
from model.phantom import AURORA, BOREALIS, PhantomExam, Vendor, signal_for

MRI_CODE = "77049"


@dataclass(frozen=True)
class DemoPatient:
    """One woman, why she is here, and her mammograms. `arriving` is an exam that the night has not seen."""

    id: str
    name: str
    shows: str
    birth_date: date
    exams: tuple[PhantomExam, ...] = ()
    arriving: PhantomExam | None = None
    drafted_codes: tuple[str, ...] = field(default=())


def cast(today: date) -> tuple[DemoPatient, ...]:
    """The eight patients as they are today."""
    return (
        DemoPatient(
            "rising",
            "Ada Rising",
            "drawn to rise as the study's medians",
            years_before(today, 52, days=100),
            yearly(1, "rising", today, (2.1, 2.2, 2.3, 2.6, 3.2, 4.6, 6.6)),
        ),
        DemoPatient(
            "level",
            "Berta Level",
            "five scores, all under the threshold",
            years_before(today, 61, days=200),
            yearly(2, "level", today, (1.2, 1.2, 1.2, 1.2, 1.2), BOREALIS, JPEGLSLossless),
        ),
        DemoPatient(
            "nearly-35",
            "Clara Thirty-Four",
            "34 years and 11 months, over the threshold",
            months_before(today, 35 * 12 - 1),
            yearly(3, "nearly-35", today, (3.5,), AURORA, RLELossless),
        ),
        DemoPatient(
            "is-35",
            "Dora Thirty-Five",
            "turns 35 today, over the threshold",
            years_before(today, 35),
            yearly(4, "is-35", today, (4.0,), AURORA, JPEG2000Lossless),
        ),
        DemoPatient(
            "three-views",
            "Emma Threeviews",
            "latest exam has three views",
            years_before(today, 47, days=30),
            three_views_last(yearly(5, "three-views", today, (1.3, 1.3), AURORA, DeflatedExplicitVRLittleEndian)),
        ),
        DemoPatient(
            "mri-drafted",
            "Frida Drafted",
            "a breast MRI is in the draft orders already",
            years_before(today, 58, days=10),
            yearly(6, "mri-drafted", today, (2.5, 3.0, 4.0)),
            drafted_codes=(MRI_CODE,),
        ),
        DemoPatient("no-exam", "Greta Noexam", "no mammogram on record", years_before(today, 40, days=5)),
        DemoPatient(
            "arriving",
            "Hanna Arriving",
            "an exam of today: was being scored when the table was made",
            years_before(today, 49, days=77),
            yearly(8, "arriving", years_before(today, 1), (2.4,)),
            arriving=PhantomExam(8, today, signal_for(0.027), "DEMO-arriving"),
        ),
    )


def yearly(
    woman: int,
    patient_id: str,
    today: date,
    percents: Sequence[float],
    vendor: Vendor = AURORA,
    transfer_syntax: UID = ExplicitVRLittleEndian,
) -> tuple[PhantomExam, ...]:
    """Annual exams with these five-year risks planted, the last one three weeks ago."""
    last = today - timedelta(weeks=3)
    return tuple(
        PhantomExam(
            woman,
            years_before(last, len(percents) - 1 - i),
            signal_for(percent / 100),
            f"DEMO-{patient_id}",
            vendor,
            transfer_syntax=transfer_syntax,
        )
        for i, percent in enumerate(percents)
    )


def three_views_last(exams: Sequence[PhantomExam]) -> tuple[PhantomExam, ...]:
    """The same exams, the last without its fourth view."""
    last = exams[-1]
    without = PhantomExam(
        last.woman,
        last.performed_on,
        last.signal,
        last.patient_id,
        last.vendor,
        views=STANDARD_VIEWS[:3],
        transfer_syntax=last.transfer_syntax,
    )
    return (*exams[:-1], without)


def years_before(day: date, years: int, days: int = 0) -> date:
    """The same calendar day some years earlier, and `days` before that. 29 February becomes 28."""
    return months_before(day, 12 * years) - timedelta(days=days)


def months_before(day: date, months: int) -> date:
    """The same day of the month some months earlier, or the month's last."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    first = date(year, month + 1, 1)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return first.replace(day=min(day.day, (following - first).days))
