"""What one site or EHR decides about its cards: mode, policy, codes, words."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from fhir_mappings.codes import DEFAULT_MRI_ORDER, Coding
from fhir_mappings.mri_orders import INTENTS
from fhir_mappings.orders import DEFAULT_ORDER_CODES, OrderCodes
from hooks.case import MriPolicy, PolicyError
from hooks.contract import OverrideReason, Source

STUDY_URL = "https://doi.org/10.1148/radiol.253023"
"""The publication behind the service (Lehman et al., Radiology 2026): a card's source unless the site names its own."""

OVERRIDE_REASON_SYSTEM = "urn:mammotrend:override-reason"


class Mode(StrEnum):
    """How far a site lets the service speak.

    `silent`: score and record, answer with no card. `research`: every card carries a banner. `active`: cards as they
    are, which needs a model whose card says clinical.
    """

    SILENT = "silent"
    RESEARCH = "research"
    ACTIVE = "active"


DEFAULT_OVERRIDE_REASONS = tuple(
    OverrideReason(code, OVERRIDE_REASON_SYSTEM, display)
    for code, display in (
        ("mri-elsewhere", "Breast MRI done or planned elsewhere"),
        ("patient-declined", "Patient declines breast MRI"),
        ("contraindication", "MRI or contrast agent contraindicated"),
        ("risk-already-managed", "Risk is known and already managed"),
        ("score-doubted", "Score not considered reliable for this patient"),
        ("decide-later", "To be decided later"),
    )
)


@dataclass(frozen=True)
class Site:
    """One site's settings for its cards; `demo_banner` is from the model's card, empty for a clinical model.

    `assessment_offered` says whether a card offers the RiskAssessment: not where it is written by itself.

    The code of `mri_order` is one of the `order_codes` for breast MRI without being listed there.
    """

    mode: Mode = Mode.SILENT
    policy: MriPolicy = field(default_factory=MriPolicy)
    demo_banner: str = ""
    source: Source = field(default_factory=lambda: Source("MammoTrend", STUDY_URL))
    mri_order: Coding = DEFAULT_MRI_ORDER
    mri_intent: str = "order"
    identifier_system: str = "urn:mammotrend:risk-assessment"
    override_reasons: tuple[OverrideReason, ...] = DEFAULT_OVERRIDE_REASONS
    order_codes: OrderCodes = DEFAULT_ORDER_CODES
    assessment_offered: bool = True

    def __post_init__(self) -> None:
        if self.mri_intent not in INTENTS:
            raise PolicyError(f"mri_intent must be one of {', '.join(sorted(INTENTS))}, got {self.mri_intent!r}")
        # What a card offers must be known again once it stands among the drafts or the orders.
        object.__setattr__(self, "order_codes", self.order_codes.adding(breast_mri=[self.mri_order]))
