"""The service that speaks while a clinician selects a screening mammography order (hook order-select 1.0)."""

from __future__ import annotations

import logging

from fhir_mappings.orders import OrderCodes, is_screening_mammography, selected, unmatched_selections
from hooks.contract import ContractError
from hooks.ordering import answer, drafts
from hooks.prefetch import PREFETCH, USAGE
from hooks.request import HookRequest
from hooks.service import Service

log = logging.getLogger(__name__)


def concerns(request: HookRequest, order_codes: OrderCodes) -> bool:
    """Whether a draft that the clinician has just selected is a breast screening order.

    Other drafts of the session are background. Raises ContractError for a context without what order-select requires.
    """
    if not isinstance(request.context.get("selections"), list):
        raise ContractError("context.selections is missing or not a list")
    chosen = selected(drafts(request).drafts, request.context)
    unmatched = unmatched_selections(request.context)
    if unmatched:
        log.warning("order-select: selections that name none of the draft orders: %d", unmatched)
    return any(is_screening_mammography(draft.order, order_codes) for draft in chosen)


SERVICE = Service(
    id="breast-risk-order-select",
    hook="order-select",
    title="Breast cancer risk over her mammograms",
    description=(
        "While a screening mammography order is selected: the patient's image-based 5-year risk of breast cancer, how "
        "it moved over her earlier mammograms, and, where the site's policy says so, a draft breast MRI order."
    ),
    prefetch=PREFETCH,
    concerns=concerns,
    answer=answer,
    usage_requirements=USAGE,
)
