"""One call of an EHR with everything that is known for its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from fhir_mappings.chart import Chart
from fhir_mappings.orders import Draft
from hooks.contract import ContractError, Link, NewUuid
from hooks.earlier_cards import EarlierCard
from hooks.policy import Recommendation, recommend
from hooks.request import HookRequest
from hooks.site import Site
from model.domain import Assessment

PageOf = Callable[[str], Link]


@dataclass(frozen=True)
class Call:
    """What a service answers from; `today` is the clinic's local day, `earlier` what was shown for the patient before.

    `page_of` gives the link to the page of a card, by the card's uuid; None where there are no pages.
    Raises ContractError if the chart is not of the patient in the context.
    """

    request: HookRequest
    chart: Chart
    assessment: Assessment
    site: Site
    today: date
    new_uuid: NewUuid
    earlier: tuple[EarlierCard, ...] = ()
    page_of: PageOf | None = None

    def __post_init__(self) -> None:
        if self.chart.patient.id != self.request.patient_id:
            raise ContractError("the chart at hand is not of the patient in context.patientId")

    @property
    def user_id(self) -> str:
        """Who is at the EHR, as a reference."""
        return self.request.context_text("userId")

    def recommendation(self, drafts: tuple[Draft, ...] = ()) -> Recommendation:
        """What the site's policy says of the patient today, with these drafts in the session."""
        site = self.site
        return recommend(self.chart, self.assessment, drafts, site.policy, self.today, site.order_codes)
