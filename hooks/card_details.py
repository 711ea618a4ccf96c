"""The Markdown of a card's detail: scores, changes, the rule line by line, what was not known."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from datetime import timedelta

from fhir_mappings.imaging_studies import ExamReference
from hooks.case import Finding, MriPolicy, Rule
from hooks.exams import Exam, apart, exams_newest_first
from hooks.markdown import bullets, escape, link, table
from hooks.percentages import limit_in_points, percent, points, size_in_points, threshold_percent
from hooks.policy import Recommendation
from hooks.site import Mode, Site
from model.domain import (
    SHORTEST_RATE_YEARS,
    Assessment,
    Interval,
    ModelVersion,
    PendingExam,
    RefusedExam,
    ScoredExam,
    Trajectory,
)

RESEARCH_BANNER = "Research use. Not for clinical decisions."
NOT_CLINICAL_BANNER = "This model is not for clinical use."
NO_LESS_SCREENING = (
    "The score describes images; it is not a diagnosis. A low or flat score is no reason for less screening."
)
NO_EARLIER_SCORE = "No earlier score can be compared with this one, so whether it has moved is not known."
_MOST_ROWS = 12
_NOT_ASKED = {
    Rule.LIFETIME_RISK: "lifetime risk of 20 % or more",
    Rule.CHEST_IRRADIATION: "irradiation of the chest in youth",
}
"""What a site must give its own codes for."""
# Not "met", which a radiologist reads as metastasis.
_ANSWERS = {True: "fulfilled", False: "**not fulfilled**", None: "**unknown**"}
_DOUBTS = frozenset(
    {
        Rule.RECORD,
        Rule.SEX,
        Rule.LIVING,
        Rule.BREAST_HISTORY,
        Rule.RAISED_RISK,
        Rule.LIFETIME_RISK,
        Rule.CHEST_IRRADIATION,
        Rule.DIAGNOSTIC_MAMMOGRAM,
        Rule.WORK_UP,
        Rule.SCORE_AGE,
    }
)
"""What a score under the threshold must not be read without: the score or the rule is not made for such a patient."""


def banners(site: Site, model: ModelVersion | None) -> tuple[str, ...]:
    """What every card of this mode and model must say first, as plain text."""
    demo = site.demo_banner or (NOT_CLINICAL_BANNER if model and not model.clinical else "")
    research = RESEARCH_BANNER if site.mode is Mode.RESEARCH else ""
    return tuple(text for text in (demo, research) if text)


def banner_lines(site: Site, model: ModelVersion | None) -> str:
    """The banners in bold, on top of the detail."""
    return "\n\n".join(f"**{escape(text)}**" for text in banners(site, model))


def score_line(exam: ScoredExam, policy: MriPolicy) -> str:
    """What the number is, of which exam, beside which threshold."""
    shown = percent(exam.score.five_year, beside=policy.threshold)
    return (
        f"Image-based 5-year risk of breast cancer, exam of {exam.performed_on.isoformat()}: **{shown}** "
        f"(rule: {policy.rule_words}, compared before rounding)."
    )


def exam_table(assessment: Assessment, policy: MriPolicy) -> str:
    """Every exam, newest first: score or the reason why there is none, device, and what sets it apart."""
    exams = exams_newest_first(assessment)
    rows = [_row(exam, assessment.trajectory, policy) for exam in exams[:_MOST_ROWS]]
    more = len(exams) - _MOST_ROWS
    shown = table(("Exam", "5-year score", "Device", "Remarks"), rows)
    return f"{shown}\n\n{more} more not shown." if more > 0 else shown


def change_lines(trajectory: Trajectory | None, policy: MriPolicy, *, rates: bool = True) -> str:
    """How the score moved, line by line, with yearly rates if asked; empty where no score can be used."""
    return bullets(change_note(trajectory, policy, rates=rates)) if trajectory and trajectory.points else ""


def change_note(trajectory: Trajectory, policy: MriPolicy, *, rates: bool = False) -> tuple[str, ...]:
    """How the score moved, in sentences; never what it will do next, nor what it was where no score is known."""
    span = trajectory.span
    if span is None:
        return (NO_EARLIER_SCORE, *_left_out(trajectory))
    moved = (_change_line(trajectory, span, rates=rates), *_first_over(trajectory, policy))
    yearly = _rates(trajectory) if rates else ()
    return (*moved, *yearly, *_gaps(trajectory), *_device_notes(trajectory), *_left_out(trajectory), _noise(trajectory))


def rule_lines(recommendation: Recommendation) -> str:
    """The policy's reasoning, rule by rule, and what no rule of this site looks at."""
    return "Rule by rule:\n\n" + bullets((*map(_finding_line, recommendation.findings), not_checked(recommendation)))


def not_checked(recommendation: Recommendation) -> str:
    """What bears on an MRI and no rule of this site looks at."""
    asked = {found.rule for found in recommendation.findings}
    left = [words for rule, words in _NOT_ASKED.items() if rule not in asked]
    return f"Not checked here: {', '.join((*left, 'and ' if left else ''))}what is not on record in codes."


def doubts(recommendation: Recommendation) -> tuple[Finding, ...]:
    """What is on record by which the score, or the rule, is not meant for this patient."""
    return tuple(found for found in recommendation.findings if found.rule in _DOUBTS and found.met is False)


def doubt_lines(recommendation: Recommendation) -> str:
    """The doubts in one line each, for a card that does not go through the rules."""
    return bullets(map(_finding_line, doubts(recommendation)))


def unknown_lines(recommendation: Recommendation, notes: Iterable[str], exam: ScoredExam) -> str:
    """What was not known or is to be noted, for a card that has neither the rules nor the table."""
    return _noted((*exam.warnings, *recommendation.unknowns, *notes))


def further_lines(recommendation: Recommendation, notes: Iterable[str], *, told: Container[Rule]) -> str:
    """What was not known or is to be noted beside the answers of the rules that the card has `told` already."""
    answers = {found.fact for found in recommendation.findings if found.rule in told}
    return _noted((*(said for said in recommendation.unknowns if said not in answers), *notes))


def contradictions(listed: Iterable[ExamReference], scored: Iterable[ScoredExam]) -> tuple[str, ...]:
    """The exams of which the EHR and the images give days that are more than one apart.

    A wrong study UID looks like this; one day may come from a moment that an EHR writes in UTC.
    """
    days = {name: exam.performed_on for exam in listed for name in (exam.study_uid, exam.resource) if name}
    pairs = [(exam.performed_on, days.get(exam.study_uid) or days.get(exam.imaging_study or "")) for exam in scored]
    return tuple(
        f"The EHR dates an exam {by_ehr}, its images {by_images}: check whether they are the images of that exam."
        for by_images, by_ehr in dict.fromkeys(pairs)
        if by_ehr and abs(by_images - by_ehr) > timedelta(days=1)
    )


def not_offered_lines(problems: Iterable[str]) -> str:
    """The suggestions that are missing from the card because they could not be built."""
    return bullets(map(escape, problems))


def unscored_line(assessment: Assessment) -> str:
    """The exams without a score in one line, for the short card."""
    words = [f"{_day(e)}: {_trouble(e)}" for e in exams_newest_first(assessment) if not isinstance(e, ScoredExam)]
    return f"Without a score: {'; '.join(words)}." if words else ""


def model_line(model: ModelVersion) -> str:
    """Which model, in which versions, made the judged score, or would make one."""
    return f"Model: {escape(method_text(model))}."


def method_text(model: ModelVersion) -> str:
    """A model with its versions as plain text."""
    return (
        f"{model.name}, weights {model.weights[:12]}, preprocessing {model.preprocessing}, "
        f"calibration {model.calibration}"
    )


def citation_line(policy: MriPolicy) -> str:
    """Where the site took its rule from."""
    rule = f"age {policy.minimum_age_years} or older, 5-year score {policy.rule_words}"
    return f"Rule of this site: {rule}. Source given for it: {link(policy.citation, policy.citation_url)}."


def threshold_words(policy: MriPolicy) -> str:
    """The threshold as a summary names it."""
    return f"threshold {threshold_percent(policy.threshold)}"


def _noted(sentences: Iterable[str]) -> str:
    said = [escape(_as_sentence(text)) for text in dict.fromkeys(sentences)]
    return f"Not known or to be noted:\n\n{bullets(said)}" if said else ""


def _as_sentence(text: str) -> str:
    """Problems are kept as logs have them."""
    return f"{text[:1].upper()}{text[1:].rstrip().rstrip('.')}."


def _row(exam: Exam, trajectory: Trajectory | None, policy: MriPolicy) -> tuple[str, ...]:
    if not isinstance(exam, ScoredExam):
        return _day(exam), "none", "", _trouble(exam)
    score = percent(exam.score.five_year, beside=policy.threshold)
    remarks = "; ".join((*apartness(exam, trajectory), *map(escape, exam.warnings)))
    return _day(exam), score, escape(str(exam.device)), remarks


def apartness(exam: ScoredExam, trajectory: Trajectory | None) -> Iterator[str]:
    """What sets a score apart from the line, or from the exam before."""
    if trajectory and exam in trajectory.apart:
        yield "not comparable (another model version or kind of image), not counted in the change"
    if trajectory and exam in trajectory.older:
        yield "older than the line, not counted in the change"
    if trajectory and exam in trajectory.same_day:
        yield "not counted: another exam of this day has the higher score"
    if trajectory and any(interval.later == exam for interval in trajectory.device_changes):
        yield "device or its software changed since the exam before"


def _trouble(exam: Exam) -> str:
    if isinstance(exam, RefusedExam):
        reasons = [escape(sentence).rstrip(".") for sentence in refusals(exam)]
        return f"cannot be scored: {'; '.join(reasons) or 'no reason recorded'}"
    if isinstance(exam, PendingExam) and exam.problem:
        return f"not scored yet: {escape(exam.problem).rstrip('.')}"
    return "scoring is under way"


def refusals(exam: RefusedExam) -> Iterator[str]:
    """Each reason once; what is said of the whole exam is not said again of its images."""
    whole = [exclusion.sentence for exclusion in exam.exclusions if exclusion.image_uid is None]
    for sentence in dict.fromkeys(exclusion.sentence for exclusion in exam.exclusions):
        if not any(sentence != said and said.endswith(sentence) for said in whole):
            yield sentence


def _day(exam: Exam) -> str:
    return exam.performed_on.isoformat() if exam.performed_on else "date unknown"


def _change_line(trajectory: Trajectory, span: Interval, *, rates: bool) -> str:
    over = f" in {span.years:.1f} years" if span.years >= SHORTEST_RATE_YEARS else ""
    first, latest = span.earlier.performed_on.isoformat(), span.later.performed_on.isoformat()
    minimum = trajectory.minimum_detectable_change
    if minimum is not None and not trajectory.change_is_measurable:
        size = size_in_points(span.change, beside=minimum)
        return f"No measurable change from {first} to {latest}{over}: the scores are {size} percentage points apart."
    yearly = _per_year(span) if rates else ""
    return f"Change from {first} to {latest}: {points(span.change)} percentage points{over}{yearly}."


def _per_year(interval: Interval) -> str:
    yearly = interval.annual_change
    return "" if yearly is None else f" ({points(yearly, decimals=2)} per year)"


def _first_over(trajectory: Trajectory, policy: MriPolicy) -> Iterator[str]:
    if trajectory.first_over is not None:
        day, count = trajectory.first_over.performed_on.isoformat(), len(trajectory.points)
        yield f"First of these {count} exams whose score is {policy.rule_words}: exam of {day}."


def _rates(trajectory: Trajectory) -> Iterator[str]:
    """With two exams the change says it all."""
    if len(trajectory.points) < 3:
        return
    if trajectory.slope_per_year is not None and trajectory.change_is_measurable is not False:
        slope = points(trajectory.slope_per_year, decimals=2)
        yield f"Slope over these {len(trajectory.points)} exams: {slope} percentage points per year (least squares)."
    # What rounds to nothing is no rise.
    if trajectory.steepest is not None and points(trajectory.steepest.change) != points(0.0):
        moved = f"{points(trajectory.steepest.change)} percentage points between {_span(trajectory.steepest)}"
        yield f"Steepest recent interval: {moved}{_per_year(trajectory.steepest)}."


def _gaps(trajectory: Trajectory) -> Iterator[str]:
    for gap in trajectory.gaps:
        yield f"Gap of {gap.years:.1f} years between {_span(gap)}: how the score moved in between is not known."


def _device_notes(trajectory: Trajectory) -> Iterator[str]:
    for interval in trajectory.device_changes:
        yield f"The device or its software changed between {_span(interval)}; scores may shift with it."
    if not all(exam.device.is_fully_named for exam in trajectory.points):
        yield "Not every exam names its device and software, so a change of them may be missed here."


def _left_out(trajectory: Trajectory) -> Iterator[str]:
    older, strange, same_day = len(trajectory.older), len(apart(trajectory)), len(trajectory.same_day)
    if older:
        counted = len(trajectory.points)
        yield f"{_counted(older, 'older exam')} not part of the line, which is of the newest {counted} exams."
    if strange:
        yield f"{_counted(strange, 'exam')} not part of the line: another model version or kind of image."
    if same_day:
        yield f"{_counted(same_day, 'exam')} not part of the line: of exams of one day the highest score counts."


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun} is" if count == 1 else f"{count} {noun}s are"


def _noise(trajectory: Trajectory) -> str:
    minimum = trajectory.minimum_detectable_change
    if minimum is None:
        return "How far two scores of one woman differ by chance has not been measured at this site."
    return f"Minimum detectable change at this site: {limit_in_points(minimum)} percentage points."


def _span(interval: Interval) -> str:
    return f"{interval.earlier.performed_on.isoformat()} and {interval.later.performed_on.isoformat()}"


def _finding_line(found: Finding) -> str:
    instead = f" {escape(found.instead)}" if found.instead else ""
    return f"{_ANSWERS[found.met]}: {escape(found.fact)}{instead}"
