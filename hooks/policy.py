"""The MRI policy applied to one patient: what is recommended, why, and what was not known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from fhir_mappings.chart import Chart, Unread
from fhir_mappings.orders import Draft, OrderCodes
from hooks.case import Case, Comparator, Finding, MriPolicy, PolicyError, Rule
from hooks.rules import RULES, information
from model.domain import Assessment

__all__ = ["Comparator", "Finding", "MriPolicy", "PolicyError", "Recommendation", "Rule", "recommend"]


@dataclass(frozen=True)
class Recommendation:
    """What the policy says. `over_threshold` is None where no exam has a score; `unknowns` are sentences on
    what was not known or is to be noted."""

    suggest_mri: bool
    over_threshold: bool | None
    findings: tuple[Finding, ...]
    unknowns: tuple[str, ...] = ()

    @property
    def obstacles(self) -> tuple[Finding, ...]:
        """The findings that each keep the MRI suggestion back, the score itself left aside."""
        return tuple(found for found in self.findings if found.withholds and found.rule is not Rule.SCORE)


def recommend(
    chart: Chart,
    assessment: Assessment,
    drafts: tuple[Draft, ...],
    policy: MriPolicy,
    today: date,
    order_codes: OrderCodes,
) -> Recommendation:
    """Apply every rule, in their order; an MRI is suggested only if no finding withholds it.

    `drafts` are all drafts of the session, not only the selected ones; `today` is the clinic's local day.
    """
    case = Case(chart, assessment, drafts, policy, today, order_codes)
    findings = tuple(found for rule in RULES if (found := rule(case)) is not None)
    over = next(found.met for found in findings if found.rule is Rule.SCORE)
    return Recommendation(
        suggest_mri=not any(found.withholds for found in findings),
        over_threshold=over,
        findings=findings,
        unknowns=(*_unknowns(chart, findings), *information(case)),
    )


def _unknowns(chart: Chart, findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """What the card must own up to, each thing once."""
    history = () if isinstance(chart.history, Unread) else chart.history.problems
    facts = (found.fact for found in findings if found.met is None)
    return tuple(dict.fromkeys((*facts, *chart.problems, *chart.exams.problems, *history)))
