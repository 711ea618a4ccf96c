"""Taking in what clinicians did with cards. Parse, keep, answer."""

from __future__ import annotations

import logging
from datetime import datetime

from flask import Blueprint, request

from cds.store.tables import Feedback
from cds.web.bodies import json_body
from cds.web.cds_hooks import asked_service, services
from cds.web.trust import verified_ehr
from fhir_mappings.access_events import WebCall
from hooks.feedback import CardFeedback, read_feedback
from hooks.request import ContractError

log = logging.getLogger(__name__)

routes = Blueprint("feedback", __name__)


@routes.post("/cds-services/<service_id>/feedback")
def take_in(service_id: str) -> dict[str, object]:
    """Keep every report; what is there already changes nothing, so that an EHR may send it again.

    Raises ContractError where some cannot be told, after the others are kept.
    """
    asked_service(service_id)
    reports, refused = read_feedback(json_body())
    parts = services()
    call = WebCall(f"{service_id}/feedback", request.remote_addr, cards=len(reports))
    known = parts.cards.save_feedback([_row(report, parts.now()) for report in reports], verified_ehr(), call)
    log.info("feedback on %d cards, %d of them known", len({report.card for report in reports}), known)
    if refused:
        raise ContractError(f"{len(refused)} of {len(reports) + len(refused)} reports are not kept: {refused[0]}")
    return {}


def _row(report: CardFeedback, now: datetime) -> Feedback:
    return Feedback(
        card=report.card,
        outcome=report.outcome,
        outcome_at=report.outcome_at,
        accepted=list(report.accepted),
        override_reason=report.reason,
        comment=report.comment,
        received_at=now,
    )
