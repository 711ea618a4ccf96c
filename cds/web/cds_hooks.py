"""CDS Hooks 2.0.1 over HTTP: discovery, and one route for every service. Parse, delegate, answer."""

from __future__ import annotations

import json
import logging
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, current_app, request

from cds.ehr.prefetch import complete
from cds.errors import HookRequestError, RequiredDataMissing
from cds.origins import listed
from cds.services import CallingEhr, WebServices
from cds.store.tables import ShownCard
from fhir_mappings.chart import Chart, read_chart
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.imaging_studies import newest_exams
from hooks.contract import Card, HookRequest, Service, cards_response, discovery
from hooks.site import Mode
from model.domain import Assessment

log = logging.getLogger(__name__)

MOST_EXAMS = 100
"""How many exams one call may register: a lifetime of screening, and few enough for one database query."""

routes = Blueprint("cds_hooks", __name__)


@routes.get("/cds-services")
def announce() -> dict[str, object]:
    """Which services there are (CDS Hooks, Discovery)."""
    return discovery(services().services)


@routes.post("/cds-services/<service_id>")
def answer(service_id: str) -> dict[str, object]:
    """Cards for one call; an empty list means "looked, nothing to say"."""
    parts, service = services(), asked_service(service_id)
    call = HookRequest.from_json(json_body())
    if call.hook != service.hook:
        raise HookRequestError(f"this service answers {service.hook!r}, the call is for {call.hook[:40]!r}")
    ehr = _calling_ehr(call, parts)
    if not service.concerns(call, ehr.site.order_codes):
        return cards_response(())
    chart = _chart(call, service, ehr)
    # Silent means that nobody waits for a card: the exams are queued, and that is all the EHR's call is for.
    wait_s = 0.0 if ehr.site.mode is Mode.SILENT else parts.answer_budget_s
    assessment = parts.assessor.assess(ehr.name, chart.patient, chart.exams, wait_s=wait_s, urgent=True)
    cards = service.answer(call, chart, assessment, ehr.site, ehr.today(parts.now()), parts.new_uuid)
    kept = [_kept(card, service, ehr, chart, assessment, parts.now()) for card in cards]
    parts.cards.save(kept)
    log.info("%s: %d cards, mode %s", service.id, len(cards), ehr.site.mode)
    for problem in (problem for card in cards for problem in card.problems):
        log.error("%s: %s", service.id, problem)
    return cards_response(() if ehr.site.mode is Mode.SILENT else cards)


def _kept(
    card: Card, service: Service, ehr: CallingEhr, chart: Chart, assessment: Assessment, now: datetime
) -> ShownCard:
    """What is on record of a card, so that feedback on it means something."""
    line = assessment.trajectory
    return ShownCard(
        uuid=card.uuid,
        ehr=ehr.name,
        patient_id=chart.patient.id,
        service=service.id,
        summary=card.summary,
        indicator=card.indicator,
        shown=ehr.site.mode is not Mode.SILENT,
        study_uid=line.points[-1].study_uid if line and line.points else None,
        suggestions=[
            {
                "uuid": suggestion.uuid,
                "label": suggestion.label,
                "resource": (action.resource or {}).get("resourceType"),
            }
            for suggestion in card.suggestions
            for action in suggestion.actions
        ],
        made_at=now,
    )


def services() -> WebServices:
    """What the application was made of."""
    parts: WebServices = current_app.extensions["mammotrend"]
    return parts


def asked_service(service_id: str) -> Service:
    """The service of this id; a call for another one is answered 404."""
    return next((service for service in services().services if service.id == service_id), None) or abort(404)


def json_body() -> Any:
    """The body of the request; raises HookRequestError where it is not JSON."""
    try:
        return json.loads(request.get_data())
    except (ValueError, RecursionError) as e:
        raise HookRequestError("the request body is not JSON") from e


def _calling_ehr(call: HookRequest, parts: WebServices) -> CallingEhr:
    """The EHR whose call this is, by its fhirServer. One that the site has not listed gets no answer."""
    if call.fhir_server is None:
        if len(parts.ehrs) == 1:
            return parts.ehrs[0]
        raise HookRequestError("the call has no fhirServer, and this service is configured for more than one EHR")
    known = {ehr.fhir_server: ehr for ehr in parts.ehrs}
    return known[listed(call.fhir_server, known)]


def _chart(call: HookRequest, service: Service, ehr: CallingEhr) -> Chart:
    """The patient's chart from the prefetch, and from the EHR where the prefetch falls short."""
    token = call.authorization.access_token if call.authorization else None
    context = {**call.context, "patientId": call.patient_id}
    with ehr.open(token) if call.fhir_server else nullcontext() as client:
        resources = complete(service.prefetch, call.prefetch, context, client)
    try:
        chart = read_chart(resources, call.patient_id, ehr.site.order_codes)
    except ResourceProblem as problem:
        raise RequiredDataMissing(f"data that the answer needs could not be had: {problem}") from problem
    return replace(chart, exams=newest_exams(chart.exams, MOST_EXAMS))
