"""What a card offers to do: draft the breast MRI order, put the RiskAssessment into the chart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from fhir_mappings.chart import Chart
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.mri_orders import mri_order
from hooks.card_details import banners, contradictions, doubts, threshold_words
from hooks.chart_entry import chart_entry
from hooks.contract import Action, ActionType, NewUuid, Suggestion
from hooks.json_rules import CardError
from hooks.markdown import plain
from hooks.percentages import percent
from hooks.policy import Recommendation, Rule
from hooks.site import Mode, Site
from model.domain import ScoredExam, Trajectory


@dataclass(frozen=True)
class Offer:
    """The suggestions of one card; `problems` are sentences on those that could not be built."""

    suggestions: tuple[Suggestion, ...] = ()
    problems: tuple[str, ...] = ()


def offer(
    trajectory: Trajectory,
    chart: Chart,
    recommendation: Recommendation,
    user_id: str,
    site: Site,
    new_uuid: NewUuid,
) -> Offer:
    """What is offered for the judged exam, in one suggestion for each action where the EHR takes no more.

    What cannot be built, which is a mistake in the site's settings, is left out: the score is worth the card alone.
    """
    offers, patient_id = [], chart.patient.id
    if recommendation.suggest_mri:
        order = partial(mri_suggestion, trajectory.latest, patient_id, user_id, site, new_uuid)
        offers.append(_attempt("breast MRI order", order))
    if site.assessment_offered and _is_for_the_chart(chart, recommendation):
        facts = (found.fact for found in doubts(recommendation))
        notes = (*facts, *contradictions(chart.exams.exams, (trajectory.latest,)))
        record = partial(risk_assessment_suggestion, trajectory, patient_id, site, new_uuid, notes)
        offers.append(_attempt("risk assessment", record))
    suggestions = tuple(suggestion for one in offers for suggestion in one.suggestions)
    problems = tuple(problem for one in offers for problem in one.problems)
    return Offer(suggestions if site.one_action_each else _in_one(suggestions), problems)


def _is_for_the_chart(chart: Chart, recommendation: Recommendation) -> bool:
    """Whether the number is one of this patient, and the chart one that is in use and takes what is written in R4.

    Of whoever has died, or is of a sex that the model was not made for, it is not. A history that the rule was not made
    for leaves it what it is, and is noted with it. An exam that lies ahead has a wrong date, and so would its periods.
    """
    answers = {found.rule: found.met for found in recommendation.findings}
    is_hers = all(answers[rule] is not False for rule in (Rule.RECORD, Rule.LIVING, Rule.SEX))
    is_ahead = answers[Rule.SCORE_AGE] is None
    return is_hers and not is_ahead and not any(o.before_r4 for o in (chart.mri_orders, chart.diagnostic_orders))


def _in_one(suggestions: tuple[Suggestion, ...]) -> tuple[Suggestion, ...]:
    """The same actions behind one click."""
    if len(suggestions) < 2:
        return suggestions
    first, *rest = suggestions
    label = " and ".join((first.label, *(f"{one.label[0].lower()}{one.label[1:]}" for one in rest)))
    actions = tuple(action for one in suggestions for action in one.actions)
    return (replace(first, label=label, actions=actions),)


def _attempt(name: str, build: Callable[[], Suggestion]) -> Offer:
    try:
        return Offer((build(),))
    except (ResourceProblem, CardError) as problem:
        return Offer(problems=(f"The {name} cannot be offered here: {problem}",))


def mri_suggestion(exam: ScoredExam, patient_id: str, user_id: str, site: Site, new_uuid: NewUuid) -> Suggestion:
    """Offer a draft breast MRI order for this patient, with the score as its reason."""
    score = percent(exam.score.five_year, beside=site.policy.threshold)
    day = exam.performed_on.isoformat()
    order = mri_order(
        patient_id,
        coding=site.mri_order,
        equivalents=site.mri_equivalents,
        intent=site.mri_intent,
        reason=f"Increased 5-year image-based score {score} ({threshold_words(site.policy)}), exam of {day}",
        imaging_study=exam.imaging_study,
        requester=user_id,
        # The banners go with the order: it outlives the card.
        note=" ".join(map(plain, banners(site, exam.score.model))) or None,
    )
    action = Action(ActionType.CREATE, f"Create a draft order for breast MRI (code {site.mri_order.code})", order)
    # Outside active mode nothing is recommended by this service: the offer stands without that word.
    recommended = True if site.mode is Mode.ACTIVE else None
    return Suggestion("Draft a breast MRI order", new_uuid(), (action,), is_recommended=recommended)


def risk_assessment_suggestion(
    trajectory: Trajectory, patient_id: str, site: Site, new_uuid: NewUuid, notes: Sequence[str] = ()
) -> Suggestion:
    """Offer to record the five yearly risks of the judged exam in the chart, with sentences of ours beside them."""
    _, resource = chart_entry(trajectory, patient_id, site, notes=notes)
    day = trajectory.latest.performed_on.isoformat()
    action = Action(ActionType.CREATE, f"Create a RiskAssessment for the exam of {day}", resource)
    return Suggestion(f"Record the risk assessment of the exam of {day}", new_uuid(), (action,))
