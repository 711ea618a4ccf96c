"""What one site or EHR decides about its cards: mode, policy, codes, words."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from fhir_mappings.code_sets import CodeSets
from fhir_mappings.codes import DEFAULT_MRI_ORDER, Coding
from fhir_mappings.mri_orders import INTENTS
from fhir_mappings.orders import OrderCodes, usual_order_codes
from hooks.case import MriPolicy, PolicyError
from hooks.contract import OverrideReason, Source
from model.domain import ModelVersion

OVERRIDE_REASON_SYSTEM = "urn:mammotrend:override-reason"


class Mode(StrEnum):
    """How far a site lets the service speak.

    `silent`: score and record, answer with no card. `research`: every card carries a banner. `active`: cards as they
    are, which needs a model whose card says clinical.
    """

    SILENT = "silent"
    RESEARCH = "research"
    ACTIVE = "active"


class PatientView(StrEnum):
    """When patient-view speaks: where the score is over the threshold, where it is new, or on either.

    That something could not be looked at is said in any case.
    """

    NEW_OR_OVER = "new-or-over"
    NEW = "new"
    OVER = "over"


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

    `model` is the one that scores at this site, named also where no exam has a score. `assessment_offered` says whether
    a card offers the RiskAssessment, `one_action_each` whether a suggestion may hold one action only.

    The code of `mri_order`, with `mri_equivalents` beside it in what is offered, is one of the `order_codes` for
    breast MRI without being listed there.
    """

    mode: Mode = Mode.SILENT
    policy: MriPolicy = field(default_factory=MriPolicy)
    demo_banner: str = ""
    source: Source = field(default_factory=lambda: Source("MammoTrend"))
    mri_order: Coding = DEFAULT_MRI_ORDER
    mri_equivalents: tuple[Coding, ...] = ()
    mri_intent: str = "order"
    identifier_system: str = "urn:mammotrend:risk-assessment"
    override_reasons: tuple[OverrideReason, ...] = DEFAULT_OVERRIDE_REASONS
    order_codes: OrderCodes = field(default_factory=usual_order_codes)
    assessment_offered: bool = True
    one_action_each: bool = True
    model: ModelVersion | None = None
    patient_view: PatientView = PatientView.NEW_OR_OVER
    quiet_days_after_override: int = 90
    longest_id: int = 128
    code_sets: CodeSets | None = None  # None: those that come with the program

    def __post_init__(self) -> None:
        if self.mri_intent not in INTENTS:
            raise PolicyError(f"mri_intent must be one of {', '.join(sorted(INTENTS))}, got {self.mri_intent!r}")
        offered = [self.mri_order, *self.mri_equivalents]
        # What a card offers must be known again once it stands among the drafts or the orders.
        object.__setattr__(self, "order_codes", self.order_codes.adding(breast_mri=offered))
