"""Charts, exams and calls for the tests of `hooks`, each with defaults that lead to an MRI suggestion."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

from fhir_mappings.chart import Chart, Unread
from fhir_mappings.circumstances import Circumstance, Circumstances
from fhir_mappings.codes import CPT, Coding
from fhir_mappings.dates import PartialDate
from fhir_mappings.histories import BreastHistory
from fhir_mappings.imaging_studies import ExamReference, ImagingHistory
from fhir_mappings.orders import Draft, Order, Orders
from fhir_mappings.patients import Patient, Sex
from hooks.call import Call
from hooks.case import MriPolicy
from hooks.contract import HookRequest
from hooks.earlier_cards import EarlierCard
from hooks.site import Mode, Site
from model.domain import (
    AcquisitionDevice,
    Assessment,
    Exclusion,
    ExclusionReason,
    ModelVersion,
    PendingExam,
    RefusedExam,
    RiskScore,
    ScoredExam,
    Trajectory,
)
from model.trajectory import trajectory

TODAY = date(2026, 5, 20)
MODEL = ModelVersion("Demo", "0123456789abcdef" * 4, "p1", "c1")
SITE = Site(mode=Mode.RESEARCH, demo_banner="Synthetic demonstration model. Not for clinical use.")
RISING = {2020: 0.021, 2021: 0.022, 2022: 0.024, 2023: 0.027, 2024: 0.034, 2025: 0.046, 2026: 0.066}
NOT_ASKED = frozenset({Circumstance.LIFETIME_RISK, Circumstance.CHEST_IRRADIATION})
"""Of what a chart says nothing where the site has given no codes."""
SCREENING, DIAGNOSTIC, MRI = "77067", "77066", "77049"


def exact(day: date) -> PartialDate:
    """A birth date or order date of which the day is known."""
    return PartialDate(day, day)


def chart(
    *,
    birth: PartialDate | None = exact(date(1974, 2, 1)),  # noqa: B008 - frozen
    sex: Sex = Sex.FEMALE,
    deceased: bool | None = False,
    replaced: bool = False,
    inactive: bool = False,
    history: BreastHistory | Unread = BreastHistory(False, False),  # noqa: B008 - frozen
    mri_orders: Orders = Orders(),  # noqa: B008 - frozen
    exams: ImagingHistory = ImagingHistory(()),  # noqa: B008 - frozen
    problems: tuple[str, ...] = (),
) -> Chart:
    """The chart of a woman of 52 whose records were all read and hold nothing that stops an MRI."""
    patient = Patient("p1", birth, sex, deceased, replaced=replaced, inactive=inactive)
    circumstances = Circumstances(not_asked=NOT_ASKED)
    return Chart(patient, exams, history, mri_orders, Orders(), circumstances, problems)


def exam_reference() -> ExamReference:
    """One mammogram in the chart's list."""
    return ExamReference("p1", "1.2.3", None, date(2026, 5, 3), None, "ImagingStudy/s1")


def scored(risk: float = 0.066, day: date = date(2026, 5, 3), *, clinical: bool = False, **changes: Any) -> ScoredExam:
    """An exam whose five-year risk is `risk`."""
    risks = tuple(risk * share for share in (0.2, 0.4, 0.6, 0.8, 1.0))
    model = ModelVersion(MODEL.name, MODEL.weights, MODEL.preprocessing, MODEL.calibration, clinical)
    values: dict[str, Any] = {
        "study_uid": f"1.2.{day.toordinal()}",
        "performed_on": day,
        "score": RiskScore(risks, risks, model),
        "scored_at": datetime(2026, 5, 4, 3, tzinfo=UTC),
        "device": AcquisitionDevice("HOLOGIC", "Selenia", "1.8"),
        "imaging_study": f"ImagingStudy/s{day.year}",
    }
    return ScoredExam(**(values | changes))


def history_of(risks: dict[int, float] = RISING, *others: ScoredExam, **settings: Any) -> Trajectory:
    """Yearly exams on 3 May, and `others`, as the line of the yearly ones' class."""
    yearly = [scored(risk, date(year, 5, 3)) for year, risk in risks.items()]
    line = trajectory([*yearly, *others], MriPolicy().is_crossed_by, line_of=yearly[0].comparability, **settings)
    assert line is not None
    return line


def one_exam(exam: ScoredExam | None = None) -> Assessment:
    """The assessment of a single scored exam."""
    return Assessment(Trajectory((exam or scored(),)))


def refused(
    day: date | None = date(2026, 5, 3),
    sentence: str = "No usable R MLO view.",
) -> RefusedExam:
    """An exam of three views."""
    return RefusedExam("1.2.99", day, (Exclusion(ExclusionReason.MISSING_VIEW, sentence),))


def pending(day: date | None = date(2026, 5, 3), problem: str | None = None) -> PendingExam:
    """An exam in the queue, or held with a problem."""
    return PendingExam("1.2.98", day, problem)


def order(
    code: str = MRI, *, dated: PartialDate | None = None, status: str = "active", do_not_perform: bool = False
) -> Order:
    """An order with one CPT code."""
    coded = (Coding(CPT, code),)
    return Order("ServiceRequest/o1", coded, status, "order", dated, do_not_perform=do_not_perform)


def draft(code: str = MRI, *, do_not_perform: bool = False) -> Draft:
    """A draft of the session with one CPT code."""
    return Draft(frozenset({"ServiceRequest/d1"}), order(code, status="draft", do_not_perform=do_not_perform))


def service_request(code: object, id_: str = "d1", patient_id: str = "p1") -> dict[str, Any]:
    """A draft ServiceRequest as an EHR sends it."""
    coding = {"system": CPT, "code": code} if code else {}
    return {
        "resourceType": "ServiceRequest",
        "id": id_,
        "status": "draft",
        "intent": "order",
        "subject": {"reference": f"Patient/{patient_id}"},
        "code": {"coding": [coding]},
    }


def order_select_body(*drafts: dict[str, Any], selections: object = ("ServiceRequest/d1",)) -> dict[str, Any]:
    """The body of an order-select call; without drafts one screening mammogram is drafted and selected."""
    entries = [{"resource": resource} for resource in (drafts or (service_request(SCREENING),))]
    return {
        "hook": "order-select",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {
            "userId": "Practitioner/dr1",
            "patientId": "p1",
            "selections": list(selections) if isinstance(selections, tuple) else selections,
            "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": entries},
        },
    }


def order_select(*drafts: dict[str, Any], selections: object = ("ServiceRequest/d1",)) -> HookRequest:
    """An order-select call that is parsed already."""
    return HookRequest.from_json(order_select_body(*drafts, selections=selections))


def order_sign_body(*drafts: dict[str, Any]) -> dict[str, Any]:
    """The body of an order-sign call; without drafts one screening mammogram is signed."""
    body = order_select_body(*drafts)
    del body["context"]["selections"]
    return body | {"hook": "order-sign"}


def patient_view_body() -> dict[str, Any]:
    """The body of a patient-view call."""
    context = {"userId": "PractitionerRole/r1", "patientId": "p1"}
    return {"hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": context}


def call(
    request: HookRequest, assessment: Assessment | None = None, site: Site = SITE, earlier: tuple[EarlierCard, ...] = ()
) -> Call:
    """A call with the chart of a woman of 52 and, unless told otherwise, a score that rose over the threshold."""
    known = Assessment(history_of()) if assessment is None else assessment
    return Call(request, chart(), known, site, TODAY, numbered(), earlier)


def numbered() -> Callable[[], str]:
    """A maker of uuids that counts, so that cards can be compared."""
    numbers = count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012d}"
