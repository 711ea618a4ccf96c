"""Every card that the services can make: each chart, each state of the exams, each site, in the pairs that matter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache

from fhir_mappings.chart import Chart
from fhir_mappings.circumstances import Circumstance, Circumstances
from fhir_mappings.codes import Coding
from fhir_mappings.dates import PartialDate
from fhir_mappings.histories import BreastHistory
from fhir_mappings.orders import Orders
from fhir_mappings.patients import Sex
from fhir_mappings.unread import Unread
from hooks import SERVICES
from hooks.call import Call
from hooks.cards import CardKind
from hooks.case import Comparator, MriPolicy
from hooks.contract import Card, HookRequest
from hooks.earlier_cards import EarlierCard
from hooks.exams import latest_scored, newest_exam
from hooks.ordering import drafts
from hooks.policy import Recommendation
from hooks.service import Service
from hooks.site import Mode, PatientView, Site
from model.domain import Assessment
from tests.hooks.builders import (
    DIAGNOSTIC,
    MODEL,
    MRI,
    SCREENING,
    SITE,
    TODAY,
    chart,
    exact,
    history_of,
    numbered,
    one_exam,
    order,
    order_select_body,
    order_sign_body,
    patient_view_body,
    pending,
    scored,
    service_request,
)
from tests.hooks.cases import CASES, EARLIER_OVER, EARLIER_UNDER
from tests.hooks.gate import refusals

SILENT_EHR = Unread("the EHR did not answer")
ORDERS_UNREAD = Orders(problems=(SILENT_EHR.why,))
LAST_YEAR = PartialDate(date(2025, 1, 1), date(2025, 12, 31))
MAY_BE_35 = PartialDate(date(1991, 1, 1), date(1991, 12, 31))


@dataclass(frozen=True)
class Told:
    """One card, with the call that it answers and what the policy said of it."""

    service: Service
    call: Call
    recommendation: Recommendation
    card: Card

    @property
    def assessment(self) -> Assessment:
        """What was known of the exams."""
        return self.call.assessment


def noted(present: frozenset[Circumstance], unread: frozenset[Circumstance] = frozenset()) -> Chart:
    """A chart with these circumstances on record, and others that could not be looked up."""
    return replace(chart(), circumstances=Circumstances(present, dict.fromkeys(unread, SILENT_EHR.why)))


def diagnosed(orders: Orders) -> Chart:
    """A chart with these orders of diagnostic mammograms."""
    return replace(chart(), diagnostic_orders=orders)


def charts() -> Mapping[str, Chart]:
    """Every answer of every rule that looks at the chart, and everything that is only to be noted."""
    everything = frozenset(Circumstance)
    return {
        "nothing on record": chart(),
        "sites with codes for everything": replace(chart(), circumstances=Circumstances()),
        **{f"sex {sex}": chart(sex=sex) for sex in Sex},
        "deceased": chart(deceased=True),
        "record replaced": chart(replaced=True),
        "record inactive": chart(inactive=True),
        "no birth date": chart(birth=None),
        "34 years old": chart(birth=exact(date(1992, 1, 1))),
        "34 or 35 years old": chart(birth=MAY_BE_35),
        "born tomorrow": chart(birth=exact(date(2026, 5, 21))),
        "born in 1900": chart(birth=exact(date(1900, 1, 1))),
        "earlier cancer": chart(history=BreastHistory(True, False)),
        "mastectomy": chart(history=BreastHistory(False, True)),
        "history read in part": chart(
            history=BreastHistory(False, False, ("left out 1 condition that named no patient",))
        ),
        "history unread": chart(history=SILENT_EHR),
        "MRI lately": chart(mri_orders=Orders((order(dated=exact(TODAY)),))),
        "MRI of last year": chart(mri_orders=Orders((order(dated=LAST_YEAR),))),
        "MRI, no date": chart(mri_orders=Orders((order(),))),
        "MRI not to be done": chart(mri_orders=Orders((order(do_not_perform=True),))),
        "MRI orders unread": chart(mri_orders=ORDERS_UNREAD),
        "orders before R4": chart(mri_orders=replace(ORDERS_UNREAD, before_r4=True)),
        "diagnostic mammogram": diagnosed(Orders((order(DIAGNOSTIC, dated=exact(TODAY)),))),
        "diagnostic mammogram, no date": diagnosed(Orders((order(DIAGNOSTIC),))),
        "diagnostic mammograms unread": diagnosed(ORDERS_UNREAD),
        **{f"{one} on record": noted(frozenset({one})) for one in Circumstance},
        **{f"{one} unread": noted(frozenset(), frozenset({one})) for one in Circumstance},
        "left out": chart(problems=("left out 1 order of another patient",)),
        "all on record": replace(noted(everything), history=BreastHistory(True, True)),
        "all unread": replace(
            noted(frozenset(), everything),
            history=SILENT_EHR,
            mri_orders=ORDERS_UNREAD,
            diagnostic_orders=ORDERS_UNREAD,
        ),
    }


@cache
def assessments() -> Mapping[str, Assessment]:
    """Every state of the exams: lines of every shape, none, and what the gate refuses, for each of its reasons."""
    refused = {f"refused: {reason}": exam for reason, exam in refusals().items()}
    held = pending(problem="The images name another patient than the EHR.")
    return {
        **{name: assessment for name, (_, _, assessment) in CASES.items()},
        **{name: Assessment(refused=(exam,)) for name, exam in refused.items()},
        **{f"{name}, over before": Assessment(EARLIER_OVER, (exam,)) for name, exam in refused.items()},
        **{f"{name}, under before": Assessment(EARLIER_UNDER, (exam,)) for name, exam in refused.items()},
        "held, and the store slow": Assessment(EARLIER_OVER, pending=(held,), notes=("The store was slow.",)),
        "a clinical model": one_exam(scored(clinical=True)),
        "with warnings": one_exam(scored(warnings=("At least one image was compressed with loss.",))),
        "below, with warnings": one_exam(scored(0.01, warnings=("At least one image was compressed with loss.",))),
        "of tomorrow": one_exam(scored(day=date(2026, 5, 21))),
        "just over": one_exam(scored(0.01701)),
        "seven months apart": Assessment(history_of({2026: 0.03}, scored(0.02, date(2025, 10, 3)))),
    }


MODES = {str(mode): replace(SITE, mode=mode, model=MODEL) for mode in Mode}
RESEARCH = MODES["research"]
SITES = {
    **MODES,
    "at least": replace(RESEARCH, policy=MriPolicy(comparator=Comparator.AT_LEAST, minimum_detectable_change=0.005)),
    "men too": replace(RESEARCH, policy=MriPolicy(sexes=frozenset(Sex))),
    "all in one": replace(RESEARCH, one_action_each=False),
    "no risk assessment": replace(RESEARCH, assessment_offered=False),
    "an order that cannot be written": replace(RESEARCH, mri_order=Coding("urn:site", "77049 ")),
    "only what is new": replace(RESEARCH, patient_view=PatientView.NEW),
    "only what is over": replace(RESEARCH, patient_view=PatientView.OVER),
}
REQUESTS = {
    "order-select": HookRequest.from_json(order_select_body()),
    "order-sign": HookRequest.from_json(order_sign_body()),
    "patient-view": HookRequest.from_json(patient_view_body()),
}
WITH_OTHERS = [
    HookRequest.from_json(order_select_body(service_request(SCREENING), service_request(code, "d2")))
    for code in (MRI, DIAGNOSTIC)
]
FEW_CHARTS = ("nothing on record", "34 years old", "all unread")
FEW_ASSESSMENTS = ("rising over six years", "below", "three views", "exams nobody assessed")


def answered(
    service: Service,
    patient_chart: Chart,
    assessment: Assessment,
    site: Site,
    request: HookRequest | None = None,
    earlier: tuple[EarlierCard, ...] = (),
) -> Iterator[Told]:
    """The cards of one call."""
    asked = request or REQUESTS[service.hook]
    call = Call(asked, patient_chart, assessment, site, TODAY, numbered(), earlier)
    recommendation = call.recommendation(() if service.hook == "patient-view" else drafts(asked).drafts)
    return (Told(service, call, recommendation, card) for card in service.answer(call))


def shown_before(assessment: Assessment, *, overridden: bool) -> tuple[EarlierCard, ...]:
    """Cards of every kind about the exam that the next one is about."""
    exam = latest_scored(assessment) or newest_exam(assessment)
    uid, day = exam.study_uid if exam else None, TODAY if overridden else None
    return tuple(EarlierCard(kind, uid, datetime(2026, 5, 20, 9, tzinfo=UTC), day) for kind in CardKind)


def of_every_chart() -> Iterator[Told]:
    """Every chart, with a few states of the exams, in every mode."""
    for patient_chart in charts().values():
        for name in FEW_ASSESSMENTS:
            for site in MODES.values():
                yield from answered(SERVICES[0], patient_chart, assessments()[name], site)


def of_every_assessment() -> Iterator[Told]:
    """Every state of the exams, with a few charts and with the chart of its own case, in every mode."""
    for name, assessment in assessments().items():
        own = [CASES[name][1]] if name in CASES else []
        for patient_chart in [charts()[few] for few in FEW_CHARTS] + own:
            for site in MODES.values():
                yield from answered(SERVICES[0], patient_chart, assessment, site)


def of_every_service_and_site() -> Iterator[Told]:
    """Every service at every site, with cards before it and without."""
    for service in SERVICES:
        for site in SITES.values():
            for assessment in (assessments()[name] for name in FEW_ASSESSMENTS):
                yield from answered(service, chart(), assessment, site)
                for overridden in (True, False):
                    earlier = shown_before(assessment, overridden=overridden)
                    yield from answered(service, chart(), assessment, site, earlier=earlier)


def of_other_drafts() -> Iterator[Told]:
    """A screening order with another one beside it."""
    for request in WITH_OTHERS:
        yield from answered(SERVICES[0], chart(), assessments()["rising over six years"], RESEARCH, request)


@cache
def every_card() -> tuple[Told, ...]:
    """The whole family."""
    return (*of_every_chart(), *of_every_assessment(), *of_every_service_and_site(), *of_other_drafts())
