"""The service that speaks while a clinician selects a screening mammography order (hook order-select 1.0)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from fhir_mappings.chart import Chart
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.orders import Draft, OrderCodes, draft_orders, is_screening_mammography, selected
from hooks.cards import Occasion, cards
from hooks.contract import Card, ContractError, HookRequest, NewUuid, Service
from hooks.policy import recommend
from hooks.site import Site
from model.domain import Assessment

# Only reads and searches of the restricted subset, only context tokens (CDS Hooks 2.0.1, Prefetch query restrictions).
# A template knows no today(), so MRI orders come newest first and the policy looks at their dates.
PREFETCH = {
    "patient": "Patient/{{context.patientId}}",
    "mammograms": "ImagingStudy?patient={{context.patientId}}&modality=MG&_sort=-started&_count=20",
    "conditions": "Condition?patient={{context.patientId}}&_count=100",
    "procedures": "Procedure?patient={{context.patientId}}&_count=100",
    "mriOrders": "ServiceRequest?patient={{context.patientId}}&_sort=-authored&_count=50",
}


def concerns(request: HookRequest, order_codes: OrderCodes) -> bool:
    """Whether a draft that the clinician has just selected is a breast screening order.

    Other drafts of the session are background. Raises ContractError for a context without what order-select requires.
    """
    context = _checked_context(request)
    chosen = selected(_drafts(context), context)
    return any(is_screening_mammography(draft.order, order_codes) for draft in chosen)


def answer(
    request: HookRequest, chart: Chart, assessment: Assessment, site: Site, today: date, new_uuid: NewUuid
) -> tuple[Card, ...]:
    """The card for a call that `concerns` has let through; none where there is no exam to speak of.

    `today` is the clinic's local day. Raises ContractError if the chart is not of the patient in the context.
    """
    context = _checked_context(request)
    if chart.patient.id != request.patient_id:
        raise ContractError("the chart at hand is not of the patient in context.patientId")
    recommendation = recommend(chart, assessment, _drafts(context), site.policy, today, site.order_codes)
    return cards(Occasion(chart, assessment, recommendation, site, request.context_text("userId"), new_uuid))


def _checked_context(request: HookRequest) -> Mapping[str, object]:
    """The context, with the four members that order-select requires, the patient's id as a bare id."""
    request.context_text("userId")
    if not isinstance(request.context.get("selections"), list):
        raise ContractError("context.selections is missing or not a list")
    if not isinstance(request.context.get("draftOrders"), Mapping):
        raise ContractError("context.draftOrders is missing or not a Bundle")
    if request.authorization and request.authorization.patient not in (None, request.patient_id):
        raise ContractError("fhirAuthorization is for another patient than context.patientId")
    return {**request.context, "patientId": request.patient_id}


def _drafts(context: Mapping[str, object]) -> tuple[Draft, ...]:
    try:
        return draft_orders(context)
    except ResourceProblem as problem:
        raise ContractError(f"context.draftOrders: {problem}") from problem


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
    usage_requirements=(
        "Answers from scores that are stored already; an exam without one is queued, and the card says so. What the "
        "prefetch lacks is read from fhirServer with the access token of the call."
    ),
)
