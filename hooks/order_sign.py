"""The service that speaks while a clinician signs a screening mammography order (hook order-sign 1.1)."""

from __future__ import annotations

from fhir_mappings.orders import OrderCodes, is_screening_mammography
from hooks.ordering import answer, drafts
from hooks.prefetch import PREFETCH, USAGE
from hooks.request import HookRequest
from hooks.service import Service


def concerns(request: HookRequest, order_codes: OrderCodes) -> bool:
    """Whether a breast screening order is among those that are signed; they need not be drafts any more.

    Raises ContractError for a context without what order-sign requires.
    """
    return any(is_screening_mammography(draft.order, order_codes) for draft in drafts(request).drafts)


SERVICE = Service(
    id="breast-risk-order-sign",
    hook="order-sign",
    title="Breast cancer risk over her mammograms, at signing",
    description=(
        "While a screening mammography order is signed: the patient's image-based 5-year risk of breast cancer, how "
        "it moved over her earlier mammograms, and, where the site's policy says so, a draft breast MRI order."
    ),
    prefetch=PREFETCH,
    concerns=concerns,
    answer=answer,
    usage_requirements=USAGE,
)
