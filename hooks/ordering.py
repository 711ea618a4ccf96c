"""What the services share that speak while something is ordered: the drafts of the session, and the answer to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fhir_mappings.errors import ResourceProblem
from fhir_mappings.orders import Drafts, draft_orders
from hooks.call import Call
from hooks.cards import Occasion, cards
from hooks.contract import Card, ContractError
from hooks.request import HookRequest
from hooks.withholding import withholding


def drafts(request: HookRequest) -> Drafts:
    """The service requests of the session; raises ContractError for a context without what an order hook requires."""
    request.context_text("userId")
    if not isinstance(request.context.get("draftOrders"), Mapping):
        raise ContractError("context.draftOrders is missing or not a Bundle")
    try:
        return draft_orders({**request.context, "patientId": request.patient_id})
    except ResourceProblem as problem:
        raise ContractError(f"context.draftOrders: {problem}") from problem


def answer(call: Call) -> tuple[Card, ...]:
    """The card for orders that deserve one; none where there is no exam to speak of."""
    found = drafts(call.request)
    call = replace(call, chart=call.chart.beside_unread_orders(found.problems))
    made = cards(Occasion.of(call, call.recommendation(found.drafts)))
    return tuple(withholding(card, call) for card in made)
