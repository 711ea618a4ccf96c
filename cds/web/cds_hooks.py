"""CDS Hooks 2.0.1 over HTTP: discovery, and one route for every service. Parse, delegate, answer."""

from __future__ import annotations

import logging

from flask import Blueprint, abort, current_app, request

from cds.errors import HookRequestError, UntrustedServer
from cds.hook_answer import answer_call
from cds.origins import listed
from cds.services import CallingEhr, WebServices
from cds.web.bodies import json_body
from cds.web.refused_callers import RefusedCallers
from cds.web.trust import refused_call, verified_ehr
from hooks.contract import cards_response
from hooks.request import ContractError, HookRequest
from hooks.service import Service, discovery

log = logging.getLogger(__name__)

routes = Blueprint("cds_hooks", __name__)

ANOTHER_EHR = "another-ehr"
"""Why a call is refused whose caller is known and asks for the patients of another."""


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
        raise HookRequestError(f"this service answers {service.hook!r}, and the call is for another hook")
    ehr = _calling_ehr(call, parts)
    return cards_response(answer_call(call, service, ehr, parts, request.remote_addr))


def services() -> WebServices:
    """What the application was made of."""
    parts: WebServices = current_app.extensions["mammotrend"]
    return parts


def _refused() -> RefusedCallers:
    callers: RefusedCallers = current_app.extensions["mammotrend.refused"]
    return callers


def asked_service(service_id: str) -> Service:
    """The service of this id; a call for another one is answered 404."""
    return next((service for service in services().services if service.id == service_id), None) or abort(404)


def _calling_ehr(call: HookRequest, parts: WebServices) -> CallingEhr:
    """The EHR whose call this is, by its token and its fhirServer. One that the site has not listed gets no answer."""
    ehr = _named_ehr(call, parts)
    if verified_ehr() not in (None, ehr.name):
        log.warning("a call was refused: %s, of %s for %s", ANOTHER_EHR, verified_ehr(), ehr.name)
        _refused().note(refused_call(), ANOTHER_EHR, verified_ehr())
        raise UntrustedServer("the call is of one EHR and names the fhirServer of another")
    if len(call.patient_id) > ehr.site.longest_id:
        raise ContractError(f"context.patientId is longer than the {ehr.site.longest_id} characters of this EHR's ids")
    return ehr


def _named_ehr(call: HookRequest, parts: WebServices) -> CallingEhr:
    if call.fhir_server is None:
        told = [ehr for ehr in parts.ehrs if verified_ehr() in (None, ehr.name)]
        if len(told) == 1:
            return told[0]
        raise HookRequestError("the call has no fhirServer, and this service is configured for more than one EHR")
    known = {ehr.fhir_server: ehr for ehr in parts.ehrs}
    return known[listed(call.fhir_server, known)]
