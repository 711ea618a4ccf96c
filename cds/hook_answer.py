"""The answer to one hook call: the chart, what is known of her exams, the cards, and their record."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from functools import partial

from cds.ehr.prefetch import complete
from cds.errors import RequiredDataMissing
from cds.services import CallingEhr, WebServices
from cds.store.tables import NewCard
from fhir_mappings.access_events import AccessEvent, Action, Read, WebCall
from fhir_mappings.chart import Chart, read_chart
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.imaging_studies import newest_exams
from hooks.call import Call, PageOf
from hooks.contract import Card
from hooks.request import HookRequest
from hooks.service import Service
from hooks.site import Mode

log = logging.getLogger(__name__)

MOST_EXAMS = 100
"""How many exams one call may register: a lifetime of screening, and few enough for one database query."""


def answer_call(
    request: HookRequest, service: Service, ehr: CallingEhr, parts: WebServices, address: str | None
) -> tuple[Card, ...]:
    """The cards of a call, the withheld ones too; none means "looked, nothing to say".

    They go on record together with who asked, from which `address`. Raises RequiredDataMissing where the patient or
    her list of exams cannot be had.
    """
    if not service.concerns(request, ehr.site.order_codes):
        return ()
    chart, reads = _chart(request, service, ehr, parts)
    # Silent means that nobody waits for a card: the exams are queued, and that is all the EHR's call is for.
    wait_s = 0.0 if ehr.site.mode is Mode.SILENT else parts.answer_budget_s
    assessment = parts.assessor.assess(ehr.name, chart.patient, chart.exams, wait_s=wait_s, urgent=True)
    earlier = parts.cards.earlier(ehr.name, chart.patient.id, ehr.local_day)
    now = parts.now()
    today, page_of = ehr.local_day(now), _page_of(ehr, parts)
    cards = service.answer(Call(request, chart, assessment, ehr.site, today, parts.new_uuid, earlier, page_of))
    records = [_record(card, service, ehr, chart.patient.id, now) for card in cards]
    sent = sum(card.withheld is None for card in cards)
    call = WebCall(service.id, address, request.hook_instance, ehr.site.mode, sent, reads)
    user_id = request.context_text("userId")
    parts.cards.save(records, AccessEvent(Action.ANSWERED, now, ehr.name, chart.patient.id, user_id=user_id, call=call))
    _log(service, ehr, cards)
    return cards


def _chart(
    request: HookRequest, service: Service, ehr: CallingEhr, parts: WebServices
) -> tuple[Chart, tuple[Read, ...]]:
    """The patient's chart from the prefetch, and from the EHR where the prefetch falls short; and what was read."""
    token = request.authorization.access_token if request.authorization else None
    context = {**request.context, "patientId": request.patient_id}
    ends_s = parts.monotonic_s() + ehr.reading_budget_s
    with ehr.open(token) if request.fhir_server else nullcontext() as client:
        found = complete(
            service.prefetch, request.prefetch, context, client, is_late=lambda: parts.monotonic_s() > ends_s
        )
    try:
        today, site = ehr.local_day(parts.now()), ehr.site
        chart = read_chart(found.values, request.patient_id, today, site.order_codes, site.code_sets, ehr.time_zone)
    except ResourceProblem as problem:
        raise RequiredDataMissing(f"data that the answer needs could not be had: {problem}") from problem
    return replace(chart, exams=newest_exams(chart.exams, MOST_EXAMS)), found.reads


def _page_of(ehr: CallingEhr, parts: WebServices) -> PageOf | None:
    return partial(parts.pages.link, ehr=ehr) if parts.pages else None


def _record(card: Card, service: Service, ehr: CallingEhr, patient_id: str, now: datetime) -> NewCard:
    """What is on record of a card, so that feedback on it means something."""
    return NewCard(
        uuid=card.uuid,
        ehr=ehr.name,
        patient_id=patient_id,
        service=service.id,
        kind=card.kind,
        summary=card.summary,
        detail=card.detail,
        indicator=card.indicator,
        withheld=card.withheld,
        study_uid=card.study_uid,
        suggestions=[
            {
                "uuid": suggestion.uuid,
                "label": suggestion.label,
                "resource": (action.resource or {}).get("resourceType"),
            }
            for suggestion in card.suggestions
            for action in suggestion.actions
        ],
        reasoning=card.reasoning.to_json(),
        made_at=now,
    )


def _log(service: Service, ehr: CallingEhr, cards: tuple[Card, ...]) -> None:
    kinds = ", ".join(f"{card.kind}{f' (withheld: {card.withheld})' if card.withheld else ''}" for card in cards)
    log.info("%s: %s; %s is %s", service.id, kinds or "no card", ehr.name, ehr.site.mode)
    for problem in (problem for card in cards for problem in card.problems):
        log.error("%s: %s", service.id, problem)
