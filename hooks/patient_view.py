"""The service that speaks when a patient's chart is opened, if there is something to say (hook patient-view 1.0)."""

from __future__ import annotations

from fhir_mappings.orders import OrderCodes
from hooks.call import Call
from hooks.cards import Occasion, cards
from hooks.contract import Card
from hooks.policy import Recommendation
from hooks.prefetch import PREFETCH, USAGE
from hooks.request import HookRequest
from hooks.service import Service
from hooks.site import PatientView
from hooks.withholding import ALWAYS_SAID, was_shown_before, withholding


def concerns(request: HookRequest, _: OrderCodes) -> bool:
    """Every chart that is opened; raises ContractError for a context without what patient-view requires."""
    request.context_text("userId")
    return bool(request.patient_id)


def answer(call: Call) -> tuple[Card, ...]:
    """The card where it is over the threshold or new, as the site has set it; none where there is no exam."""
    recommendation = call.recommendation()
    made = cards(Occasion.of(call, recommendation))
    return tuple(withholding(card, call, says_nothing_new=not _speaks(card, call, recommendation)) for card in made)


def _speaks(card: Card, call: Call, recommendation: Recommendation) -> bool:
    wanted = call.site.patient_view
    if card.kind in ALWAYS_SAID:
        return True
    if wanted is not PatientView.NEW and recommendation.over_threshold:
        return True
    return wanted is not PatientView.OVER and not was_shown_before(card, call)


SERVICE = Service(
    id="breast-risk-patient-view",
    hook="patient-view",
    title="Breast cancer risk over her mammograms, in the chart",
    description=(
        "When the chart of a patient with mammograms is opened: her image-based 5-year risk of breast cancer where it "
        "is over the threshold or has not been shown yet, how it moved over her earlier mammograms, and, where the "
        "site's policy says so, a draft breast MRI order."
    ),
    prefetch=PREFETCH,
    concerns=concerns,
    answer=answer,
    usage_requirements=USAGE,
)
