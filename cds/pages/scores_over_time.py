"""What a card's page shows, in words and rows: the scores as they are on record, the reasoning as it was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from cds.store.tables import ShownCard
from hooks import card_details as details
from hooks.exams import exams_newest_first, latest_scored
from hooks.markdown import plain
from hooks.percentages import limit_in_points, percent, yearly_percents
from hooks.reasoning import Reasoning
from hooks.site import Site
from model.card import ModelCard
from model.domain import YEARS, Assessment, PendingExam, RefusedExam, ScoredExam, Trajectory

NO_DATE = "date unknown"
AgeAt = Callable[[date], str]


@dataclass(frozen=True)
class ScoredRow:
    """One exam with a score, and what is to be known of it before it is compared."""

    day: str
    score: str
    images: str
    device: str
    remarks: tuple[str, ...]
    age: str = ""


@dataclass(frozen=True)
class UnscoredRow:
    """One exam without a score, and every reason."""

    day: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class IndexExam:
    """The exam whose score is judged, with its risks year by year."""

    day: str
    score: str
    yearly: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ScoresOverTime:
    """All the words of a page. `minimum` is in percentage points, empty where it has not been measured.

    An age is empty where it is not known; `has_ages` says whether they are told at all.
    """

    banners: tuple[str, ...]
    summary: str
    told_at: str
    index: IndexExam | None
    scored: tuple[ScoredRow, ...]
    unscored: tuple[UnscoredRow, ...]
    changes: tuple[str, ...]
    reasoning: Reasoning
    threshold: str
    rule: str
    citation: tuple[str, str]
    minimum: str
    source: tuple[str, str]
    model: tuple[tuple[str, str], ...]
    has_ages: bool = False


def scores_over_time(
    card: ShownCard,
    assessment: Assessment,
    line: Trajectory | None,
    site: Site,
    model: ModelCard,
    told_at: datetime,
    age_at: AgeAt | None = None,
) -> ScoresOverTime:
    """The page of one card; `told_at` is when the card was made, by the clinic's clock.

    `line` is the assessment's with the scores of other model versions apart from it: they are rows of the table, and
    count for nothing else. `age_at` tells the patient's age on a day, for a page that knows her; without it her ages
    are those that were kept with the card.
    """
    policy, latest, judged = site.policy, latest_scored(assessment), assessment.trajectory
    minimum, reasoning = policy.minimum_detectable_change, Reasoning.from_json(card.reasoning)
    ages = age_at or (lambda day: reasoning.ages.get(day.isoformat(), ""))
    scored = tuple(_scored_rows(line, latest, site, ages)) if line else ()
    return ScoresOverTime(
        banners=details.banners(site, model.version),
        summary=card.summary,
        told_at=told_at.strftime("%Y-%m-%d %H:%M %Z"),
        index=_index(latest, site) if latest else None,
        scored=scored,
        unscored=tuple(_unscored_rows(assessment)),
        changes=details.change_note(judged, policy, rates=True) if judged and judged.points else (),
        reasoning=reasoning,
        threshold=details.threshold_words(policy),
        rule=f"age {policy.minimum_age_years} or older, 5-year score {policy.rule_words}",
        citation=(policy.citation, policy.citation_url),
        minimum="" if minimum is None else limit_in_points(minimum),
        source=(site.source.label, site.source.url or ""),
        model=tuple(_model_facts(model)),
        has_ages=age_at is not None or any(row.age for row in scored),
    )


def unscored_days(assessment: Assessment, line: Trajectory, today: date) -> tuple[date, ...]:
    """The days of the exams without a score of the model in use, from the first score of the line to today."""
    first = min(exam.performed_on for exam in line.exams)
    exams = exams_newest_first(assessment)
    days = {exam.performed_on for exam in exams if not isinstance(exam, ScoredExam) and exam.performed_on}
    return tuple(sorted(day for day in days if first <= day <= today))


def _index(exam: ScoredExam, site: Site) -> IndexExam:
    shown = yearly_percents(exam.score.calibrated, beside=site.policy.threshold)
    spans = ["1 year", *(f"{years} years" for years in YEARS[1:])]
    return IndexExam(exam.performed_on.isoformat(), shown[-1], tuple(zip(spans, shown, strict=True)))


def _scored_rows(line: Trajectory, latest: ScoredExam | None, site: Site, age_at: AgeAt) -> Iterator[ScoredRow]:
    """Every score, newest exam first; of one exam the score that counts comes first, and each names its model."""
    exams = sorted(line.exams, key=lambda exam: exam.performed_on)[::-1]
    scores = Counter(exam.study_uid for exam in exams)
    for exam in exams:
        is_plain = latest is not None and exam.score.model == latest.score.model and scores[exam.study_uid] == 1
        yield ScoredRow(
            exam.performed_on.isoformat(),
            percent(exam.score.five_year, beside=site.policy.threshold),
            str(exam.image_type),
            plain(str(exam.device)) or "not named",
            (*details.apartness(exam, line), *(() if is_plain else (_scored_by(exam),)), *map(plain, exam.warnings)),
            age_at(exam.performed_on),
        )


def _scored_by(exam: ScoredExam) -> str:
    model = exam.score.model
    return f"scored by {plain(details.method_text(model))}{'' if model.clinical else ', not for clinical use'}"


def _unscored_rows(assessment: Assessment) -> Iterator[UnscoredRow]:
    for exam in exams_newest_first(assessment):
        if not isinstance(exam, ScoredExam):
            yield UnscoredRow(exam.performed_on.isoformat() if exam.performed_on else NO_DATE, _reasons(exam))


def _reasons(exam: RefusedExam | PendingExam) -> tuple[str, ...]:
    if isinstance(exam, RefusedExam):
        return tuple(map(plain, details.refusals(exam))) or ("No reason was recorded.",)
    return (f"Not scored yet: {plain(exam.problem)}",) if exam.problem else ("Scoring is under way.",)


def _model_facts(model: ModelCard) -> Iterator[tuple[str, str]]:
    version = model.version
    yield "Name", version.name
    yield "What it is", model.description
    yield "Intended use", model.intended_use
    yield "Horizon and endpoint", "five years from the exam; breast cancer"
    yield "Weights (SHA-256)", version.weights
    yield "Preprocessing", version.preprocessing
    yield "Calibration", version.calibration
    yield "Clinical use", "allowed by its card" if version.clinical else "not allowed by its card"
