"""What may be known of a patient's exams, each with the kind of card it leads to."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from fhir_mappings.chart import Chart, Unread
from fhir_mappings.histories import BreastHistory
from fhir_mappings.imaging_studies import ImagingHistory
from fhir_mappings.orders import Orders
from fhir_mappings.patients import Sex
from hooks.cards import CardKind
from model.domain import AcquisitionDevice, Assessment, ImageType, ScoredExam, Trajectory
from tests.hooks.builders import (
    MODEL,
    TODAY,
    chart,
    exact,
    exam_reference,
    history_of,
    one_exam,
    order,
    pending,
    refused,
    scored,
)

EARLIER_OVER = history_of({2024: 0.03, 2025: 0.046})
EARLIER_UNDER = history_of({2024: 0.010, 2025: 0.011})
HELD = pending(problem="The image archive did not answer; it will be asked again.")
YOUNG = chart(birth=exact(date(1991, 6, 20)))
HALF_A_POINT = 0.005
FLAT = {2024: 0.0211, 2025: 0.0224, 2026: 0.0219}
"""Within half a point of each other, over the threshold."""
NINE_YEARS = {year: 0.01 + (year - 2018) / 500 for year in range(2018, 2027)}
NOT_HERS = ImagingHistory((), ("1 study of another patient was left out.",))


def of_another_model(exam: ScoredExam) -> ScoredExam:
    return replace(exam, score=replace(exam.score, model=replace(MODEL, weights="f" * 64)))


def synthetic(risk: float, day: date) -> ScoredExam:
    return scored(risk, day, image_type=ImageType.SYNTHETIC_2D)


def on_device(*named: str, day: date = date(2026, 5, 3), risk: float = 0.0219) -> ScoredExam:
    return scored(risk, day, device=AcquisitionDevice(*named))


NEW_SOFTWARE = on_device("HOLOGIC", "Selenia", "1.9")
EARLIER_FLAT = {year: risk for year, risk in FLAT.items() if year < 2026}
ONE_DAY = history_of({2025: 0.019, 2026: 0.025}, scored(0.012, study_uid="1.2.77"))
CASES: dict[str, tuple[CardKind, Chart, Assessment]] = {
    "rising over six years": (CardKind.MRI_SUGGESTED, chart(), Assessment(history_of())),
    "a single exam": (CardKind.MRI_SUGGESTED, chart(), one_exam()),
    "MRI orders unread": (CardKind.MRI_SUGGESTED, chart(mri_orders=Orders(problems=("no answer",))), one_exam()),
    "history unread": (CardKind.MRI_SUGGESTED, chart(history=Unread("no access")), Assessment(history_of())),
    "34 years and 11 months": (CardKind.OVER_WITHOUT_MRI, YOUNG, Assessment(history_of())),
    "no birth date": (CardKind.OVER_WITHOUT_MRI, chart(birth=None), Assessment(history_of())),
    "MRI ordered": (CardKind.OVER_WITHOUT_MRI, chart(mri_orders=Orders((order(dated=exact(TODAY)),))), one_exam()),
    "MRI drafted": (CardKind.OVER_WITHOUT_MRI, chart(mri_orders=Orders((order(status="draft"),))), one_exam()),
    "earlier cancer": (CardKind.OVER_WITHOUT_MRI, chart(history=BreastHistory(True, False)), one_exam()),
    "mastectomy": (CardKind.OVER_WITHOUT_MRI, chart(history=BreastHistory(False, True)), one_exam()),
    "a man": (CardKind.OVER_WITHOUT_MRI, chart(sex=Sex.MALE), one_exam()),
    "deceased": (CardKind.OVER_WITHOUT_MRI, chart(deceased=True), one_exam()),
    "record replaced": (CardKind.OVER_WITHOUT_MRI, chart(replaced=True), one_exam()),
    "an old score": (CardKind.OVER_WITHOUT_MRI, chart(), one_exam(scored(day=date(2021, 5, 3)))),
    "below": (CardKind.NOT_OVER, chart(), Assessment(history_of({2025: 0.0121, 2026: 0.012}))),
    "falling": (CardKind.NOT_OVER, chart(), Assessment(history_of({2025: 0.03, 2026: 0.012}))),
    "below, a man, an old score": (CardKind.NOT_OVER, chart(sex=Sex.MALE), one_exam(scored(0.01, date(2021, 5, 3)))),
    "below, an exam unscored": (CardKind.NOT_OVER, chart(), Assessment(EARLIER_UNDER, (refused(date(2023, 5, 3)),))),
    "three views": (CardKind.NOT_SCORABLE, chart(), Assessment(refused=(refused(),))),
    "three views, no date": (CardKind.NOT_SCORABLE, chart(), Assessment(refused=(refused(None),))),
    "three views, over before": (CardKind.NOT_SCORABLE, chart(), Assessment(EARLIER_OVER, (refused(),))),
    "three views, over before, young": (CardKind.NOT_SCORABLE, YOUNG, Assessment(EARLIER_OVER, (refused(),))),
    "three views, under before": (CardKind.NOT_SCORABLE, chart(), Assessment(EARLIER_UNDER, (refused(),))),
    "in the queue": (CardKind.UNDER_WAY, chart(), Assessment(pending=(pending(),))),
    "in the queue, over before": (CardKind.UNDER_WAY, chart(), Assessment(EARLIER_OVER, pending=(pending(),))),
    "held": (CardKind.HELD, chart(), Assessment(pending=(HELD,))),
    "held, over before": (CardKind.HELD, chart(), Assessment(EARLIER_OVER, pending=(HELD,))),
    "held, under before": (CardKind.HELD, chart(), Assessment(EARLIER_UNDER, pending=(HELD,))),
    "another patient's study": (CardKind.EXAMS_UNREAD, chart(exams=NOT_HERS), Assessment()),
    "scored by an old model alone": (
        CardKind.NOT_SCORABLE,
        chart(),
        Assessment(Trajectory((), apart=(scored(),))),
    ),
    "a measurable rise": (
        CardKind.MRI_SUGGESTED,
        chart(),
        Assessment(history_of(minimum_detectable_change=HALF_A_POINT)),
    ),
    "no measurable rise": (
        CardKind.MRI_SUGGESTED,
        chart(),
        Assessment(history_of(FLAT, minimum_detectable_change=HALF_A_POINT)),
    ),
    "no measurable fall, below": (
        CardKind.NOT_OVER,
        chart(),
        Assessment(history_of({2025: 0.0121, 2026: 0.012}, minimum_detectable_change=HALF_A_POINT)),
    ),
    "no measurable rise, new software": (
        CardKind.MRI_SUGGESTED,
        chart(),
        Assessment(history_of(EARLIER_FLAT, NEW_SOFTWARE, minimum_detectable_change=HALF_A_POINT)),
    ),
    "new software": (CardKind.MRI_SUGGESTED, chart(), Assessment(history_of(EARLIER_FLAT, NEW_SOFTWARE))),
    "rising, new software": (
        CardKind.MRI_SUGGESTED,
        chart(),
        Assessment(history_of(EARLIER_FLAT, on_device("HOLOGIC", "Selenia", "1.9", risk=0.046))),
    ),
    "a unit without a name": (CardKind.MRI_SUGGESTED, chart(), Assessment(history_of(EARLIER_FLAT, on_device("A")))),
    "a gap": (
        CardKind.MRI_SUGGESTED,
        chart(),
        Assessment(history_of({2020: 0.02, 2021: 0.02, 2025: 0.021, 2026: 0.03}), (refused(date(2023, 5, 3)),)),
    ),
    "a gap, below": (
        CardKind.NOT_OVER,
        chart(),
        Assessment(history_of({2021: 0.01, 2026: 0.011}), (refused(date(2023, 5, 3)),)),
    ),
    "two exams of one day": (CardKind.MRI_SUGGESTED, chart(), Assessment(ONE_DAY)),
    "nine exams": (CardKind.MRI_SUGGESTED, chart(), Assessment(history_of(NINE_YEARS))),
    "an older exam of another model": (
        CardKind.NOT_OVER,
        chart(),
        Assessment(history_of({2025: 0.010, 2026: 0.011}, of_another_model(scored(0.3, date(2018, 5, 3))))),
    ),
    "newest of another model, over before": (
        CardKind.NOT_SCORABLE,
        chart(),
        Assessment(history_of({2024: 0.03, 2025: 0.046}, of_another_model(scored(0.01)))),
    ),
    "newest synthetic, under before": (
        CardKind.NOT_SCORABLE,
        chart(),
        Assessment(history_of({2024: 0.010, 2025: 0.011}, synthetic(0.05, date(2026, 5, 3)))),
    ),
    "exams nobody assessed": (
        CardKind.EXAMS_UNREAD,
        chart(exams=ImagingHistory((exam_reference(),))),
        Assessment(notes=("The store could not be read.",)),
    ),
}
