"""The words of each card: what is said first, how urgent it is, what it offers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from fhir_mappings.chart import Chart
from hooks import card_details as details
from hooks.ages import ages_by_day
from hooks.call import Call, PageOf
from hooks.contract import SUMMARY_CHARACTERS, Card, Indicator, NewUuid, SelectionBehavior, summary_length
from hooks.exams import Exam, exams_newest_first, is_being_scored, latest_scored, newest_exam, without_usable_score
from hooks.markdown import paragraphs, plain
from hooks.percentages import change_in_words, percent
from hooks.policy import Recommendation, Rule
from hooks.reasoning import Answer, Reasoning
from hooks.site import Mode, Site
from hooks.suggestions import Offer, offer
from model.domain import (
    SHORTEST_RATE_YEARS,
    Assessment,
    ModelVersion,
    PendingExam,
    RefusedExam,
    ScoredExam,
    Trajectory,
)

RESEARCH_MARK = "Research: "
"""Begins every summary of research mode: many EHRs show the summary alone, without the detail and its banner."""

PAGE_LINK = "Show the scores over time"
"""What the link to the page of a card is called."""

_OF_THE_SCORE = (Rule.SCORE, Rule.SCORE_AGE, Rule.NEWEST_EXAM)
"""The rules whose answer is told by saying that there is no score."""


_LEAST_CHANGE = 0.005
"""A fraction: half a percentage point. A smaller change is left to the detail where chance has not been measured: many
EHRs show the summary alone, and there nothing says that so little may be chance."""


class CardKind(StrEnum):
    """Every card there is."""

    MRI_SUGGESTED = "mri-suggested"
    OVER_WITHOUT_MRI = "over-without-mri"
    NOT_OVER = "not-over"
    NOT_SCORABLE = "not-scorable"
    UNDER_WAY = "under-way"
    HELD = "held"
    EXAMS_UNREAD = "exams-unread"


@dataclass(frozen=True)
class Occasion:
    """What one card is made of."""

    chart: Chart
    assessment: Assessment
    recommendation: Recommendation
    site: Site
    user_id: str
    new_uuid: NewUuid
    page_of: PageOf | None = None

    @classmethod
    def of(cls, call: Call, recommendation: Recommendation) -> Self:
        """The occasion that a call is."""
        return cls(call.chart, call.assessment, recommendation, call.site, call.user_id, call.new_uuid, call.page_of)

    @property
    def model(self) -> ModelVersion | None:
        """The model that made the judged score or, where there is none, the one that scores at this site."""
        return self.latest.score.model if self.latest else self.site.model

    @property
    def latest(self) -> ScoredExam | None:
        """The exam whose score is judged."""
        return latest_scored(self.assessment)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be noted of her exams."""
        line = self.assessment.trajectory
        contradictions = details.contradictions(self.chart.exams.exams, line.exams if line else ())
        return (*self.assessment.notes, *contradictions)


def card_kind(chart: Chart, assessment: Assessment, recommendation: Recommendation) -> CardKind | None:
    """Which card is due; None only where it was looked and there is no exam."""
    newest = newest_exam(assessment)
    if newest is None:
        could_not_look = chart.exams.exams or chart.exams.problems or assessment.notes
        return CardKind.EXAMS_UNREAD if could_not_look else None
    if isinstance(newest, PendingExam):
        return CardKind.UNDER_WAY if is_being_scored(newest) else CardKind.HELD
    if newest != latest_scored(assessment):
        return CardKind.NOT_SCORABLE
    if recommendation.suggest_mri:
        return CardKind.MRI_SUGGESTED
    return CardKind.OVER_WITHOUT_MRI if recommendation.over_threshold else CardKind.NOT_OVER


def cards(occasion: Occasion) -> tuple[Card, ...]:
    """The one card of this occasion, or none."""
    kind = card_kind(occasion.chart, occasion.assessment, occasion.recommendation)
    if kind is None:
        return ()
    latest, offered = occasion.latest, _offer(occasion)
    suggested, is_short = occasion.recommendation.suggest_mri, kind is CardKind.NOT_OVER
    detail = _short_detail(occasion, latest) if latest and is_short else _full_detail(occasion)
    uuid = occasion.new_uuid()
    card = Card(
        summary=summary(kind, occasion),
        indicator=Indicator.WARNING if suggested else Indicator.INFO,
        source=occasion.site.source,
        uuid=uuid,
        detail=paragraphs((detail, details.not_offered_lines(offered.problems))),
        suggestions=offered.suggestions,
        selection_behavior=SelectionBehavior.ANY if offered.suggestions else None,
        override_reasons=occasion.site.override_reasons if suggested else (),
        links=(occasion.page_of(uuid),) if occasion.page_of else (),
        kind=kind,
        study_uid=_study_uid(kind, occasion),
        problems=offered.problems,
        reasoning=_reasoning(kind, occasion),
    )
    return (card,)


def _reasoning(kind: CardKind, occasion: Occasion) -> Reasoning:
    """What the rules answered, and what bears on it beside their answers."""
    recommendation, notes = occasion.recommendation, occasion.notes
    answers = tuple(Answer(str(one.rule), one.met, one.fact, one.instead) for one in recommendation.findings)
    told = {answer.fact for answer in answers}
    unknowns = (said for said in (*recommendation.unknowns, *notes) if said not in told)
    days = (exam.performed_on for exam in exams_newest_first(occasion.assessment) if exam.performed_on)
    ages = ages_by_day(occasion.chart.patient.birth_date, days)
    judged = occasion.latest.study_uid if occasion.latest else None
    refusal = _refusal(occasion.assessment) if kind is CardKind.NOT_SCORABLE else None
    return Reasoning(answers, (*dict.fromkeys(unknowns), details.not_checked(recommendation)), ages, judged, refusal)


def _refusal(assessment: Assessment) -> str | None:
    """Every reason why the newest exam cannot be scored, in an order of its own; None where it has another fault."""
    newest = newest_exam(assessment)
    return " ".join(sorted({e.sentence for e in newest.exclusions})) if isinstance(newest, RefusedExam) else None


def _study_uid(kind: CardKind, occasion: Occasion) -> str | None:
    """The exam a card is about: the one that cannot be scored, else the one whose score is judged, else the newest."""
    newest = newest_exam(occasion.assessment)
    exam = newest if kind is CardKind.NOT_SCORABLE else occasion.latest or newest
    return exam.study_uid if exam else None


def summary(kind: CardKind, occasion: Occasion) -> str:
    """The card's one sentence, at most 139 characters, marked as research where it is."""
    wordings = [_marked(words, occasion.site) for words in _wordings(kind, occasion)]
    fitting = (words for words in wordings if summary_length(words) <= SUMMARY_CHARACTERS)
    return next(fitting, None) or _cut(wordings[-1])


def _marked(words: str, site: Site) -> str:
    return f"{RESEARCH_MARK}{_lower_first(words)}" if site.mode is Mode.RESEARCH else words


def _wordings(kind: CardKind, occasion: Occasion) -> tuple[str, ...]:
    """What the summary may say, the fullest first: the first that fits is taken."""
    newest, latest = newest_exam(occasion.assessment), occasion.latest
    if newest is None:
        return ("Mammography exams could not all be read; no 5-year image-based score is known",)
    if latest is None:
        return (f"{without_usable_score(newest)}{_problem(newest)}",)
    if newest == latest:
        return tuple(f"{_judged(latest, occasion)}{more}" for more in _second_thoughts(kind, latest, occasion))
    # The reason gives way where not all fits: the detail has it in any case.
    trouble, shorter = without_usable_score(newest), "The newest exam has no usable score"
    day = latest.performed_on.isoformat()
    if occasion.recommendation.suggest_mri:
        judged = f"{_judged(latest, occasion)}, exam of {day}"
        return f"{judged}; {_lower_first(trouble)}", f"{judged}; {_lower_first(shorter)}"
    which = "earlier" if newest.performed_on else "other"
    earlier = f"; {which} score {_score(latest, occasion)} of {day} ({details.threshold_words(occasion.site.policy)})"
    return f"{trouble}{_problem(newest)}{earlier}", f"{trouble}{earlier}", f"{shorter}{earlier}"


def _judged(latest: ScoredExam, occasion: Occasion) -> str:
    first = "Increased 5-year" if occasion.recommendation.over_threshold else "5-year"
    threshold = details.threshold_words(occasion.site.policy)
    return f"{first} image-based score {_score(latest, occasion)} ({threshold})"


def _second_thoughts(kind: CardKind, latest: ScoredExam, occasion: Occasion) -> tuple[str, ...]:
    if kind is CardKind.OVER_WITHOUT_MRI:
        return (f"; no MRI suggestion: {occasion.recommendation.obstacles[0].reason}",)
    if kind is CardKind.MRI_SUGGESTED:
        return _changes(occasion.assessment.trajectory)
    exam = f", exam of {latest.performed_on.isoformat()}"
    return *(f"{exam}; {found.reason}" for found in details.doubts(occasion.recommendation)), exam


def _changes(trajectory: Trajectory | None) -> tuple[str, ...]:
    if trajectory is None or trajectory.change is None or trajectory.years < SHORTEST_RATE_YEARS:
        return ("",)
    # Rounded as it is shown, so that 0.5 is told and 0.4 is not.
    if trajectory.minimum_detectable_change is None and round(abs(trajectory.change), 3) < _LEAST_CHANGE:
        return ("",)
    unmeasurable = trajectory.change_is_measurable is False
    moved = "no measurable change" if unmeasurable else change_in_words(trajectory.change)
    change = f", {moved} in {trajectory.years:.1f} years"
    return (f"{change} (device or software changed)", change) if trajectory.device_changes else (change,)


def _problem(newest: Exam) -> str:
    if isinstance(newest, RefusedExam) and newest.exclusions:
        whole = [e for e in newest.exclusions if e.image_uid is None] or list(newest.exclusions)
        # "No usable image: ..." is an image's own reason with words before it that "cannot be scored" has said.
        said = (e.sentence for e in newest.exclusions if whole[0].sentence.endswith(e.sentence))
        return f": {_first_sentence(min(said, key=len))}"
    if isinstance(newest, PendingExam) and newest.problem:
        return f": {_first_sentence(newest.problem)}"
    return ""


def _first_sentence(text: str) -> str:
    return plain(text).partition(". ")[0].rstrip(".")


def _score(exam: ScoredExam, occasion: Occasion) -> str:
    return percent(exam.score.five_year, beside=occasion.site.policy.threshold)


def _cut(text: str) -> str:
    """The text, with an ellipsis where it had to be cut to fit a summary."""
    while summary_length(text) > SUMMARY_CHARACTERS:
        text = text.rstrip("…")[:-1].rstrip() + "…"
    return text


def _lower_first(words: str) -> str:
    return f"{words[0].lower()}{words[1:]}"


def _offer(occasion: Occasion) -> Offer:
    trajectory = occasion.assessment.trajectory
    if occasion.latest is None or trajectory is None:
        return Offer()
    return offer(
        trajectory, occasion.chart, occasion.recommendation, occasion.user_id, occasion.site, occasion.new_uuid
    )


def _full_detail(occasion: Occasion) -> str:
    latest, site, assessment = occasion.latest, occasion.site, occasion.assessment
    has_exams = newest_exam(assessment) is not None
    told = tuple(Rule) if latest else _OF_THE_SCORE
    return paragraphs(
        (
            details.banner_lines(site, occasion.model),
            details.score_line(latest, site.policy) if latest else _no_score(has_exams),
            details.exam_table(assessment, site.policy) if has_exams else _unassessed(occasion.chart),
            details.change_lines(assessment.trajectory, site.policy),
            details.rule_lines(occasion.recommendation) if latest else "",
            details.further_lines(occasion.recommendation, occasion.notes, told=told),
            details.model_line(occasion.model) if occasion.model else "",
            details.citation_line(site.policy) if latest else "",
            details.NO_LESS_SCREENING,
        )
    )


def _no_score(has_exams: bool) -> str:
    """That no exam has a score can be said only of exams that were looked at."""
    if has_exams:
        return "No exam of this patient has a usable score."
    return "The exams of this patient could not all be read, so it is not known whether one has a usable score."


def _unassessed(chart: Chart) -> str:
    exams = chart.exams.exams
    days = [exam.performed_on for exam in exams if exam.performed_on]
    newest = f"newest date {max(days).isoformat()}" if days else "no date known"
    return f"Exams on record: {len(exams)}, {newest}; none of them was assessed." if exams else ""


def _short_detail(occasion: Occasion, latest: ScoredExam) -> str:
    """Below the threshold: the number, its change, its doubts; no table and no rule by rule."""
    site, assessment = occasion.site, occasion.assessment
    return paragraphs(
        (
            details.banner_lines(site, latest.score.model),
            details.score_line(latest, site.policy),
            details.change_lines(assessment.trajectory, site.policy, rates=False),
            details.doubt_lines(occasion.recommendation),
            details.unscored_line(assessment),
            details.unknown_lines(occasion.recommendation, occasion.notes, latest),
            details.model_line(latest.score.model),
            details.citation_line(site.policy),
            details.NO_LESS_SCREENING,
        )
    )
