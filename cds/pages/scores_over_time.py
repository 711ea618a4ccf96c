"""What a card's page shows, in words and rows: the scores as they are on record, the reasoning as it was told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from cds.store.tables import ShownCard
from hooks import card_details as details
from hooks.exams import exams_newest_first, latest_scored
from hooks.markdown import plain
from hooks.percentages import limit_in_points, percent
from hooks.reasoning import Reasoning
from hooks.site import Site
from model.card import ModelCard
from model.domain import YEARS, Assessment, PendingExam, RefusedExam, ScoredExam

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

    `has_ages` is for pages that may know who the patient is; an age is empty where it is not known.
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
    site: Site,
    model: ModelCard,
    told_at: datetime,
    age_at: AgeAt | None = None,
) -> ScoresOverTime:
    """The page of one card; `told_at` is when the card was made, by the clinic's clock.

    `age_at` tells the patient's age on a day, for a page that knows her.
    """
    policy, latest, line = site.policy, latest_scored(assessment), assessment.trajectory
    minimum = policy.minimum_detectable_change
    return ScoresOverTime(
        banners=details.banners(site, model.version),
        summary=card.summary,
        told_at=told_at.strftime("%Y-%m-%d %H:%M %Z"),
        index=_index(latest, site) if latest else None,
        scored=tuple(_scored_rows(assessment, site, age_at)),
        unscored=tuple(_unscored_rows(assessment)),
        changes=details.change_note(line, rates=True) if line and line.points else (),
        reasoning=Reasoning.from_json(card.reasoning),
        threshold=details.threshold_words(policy),
        rule=f"age {policy.minimum_age_years} or older, 5-year score {policy.rule_words}",
        citation=(policy.citation, policy.citation_url),
        minimum="" if minimum is None else limit_in_points(minimum),
        source=(site.source.label, site.source.url or ""),
        model=tuple(_model_facts(model)),
        has_ages=age_at is not None,
    )


def _index(exam: ScoredExam, site: Site) -> IndexExam:
    shown = [percent(risk, beside=site.policy.threshold) for risk in exam.score.calibrated]
    spans = ["1 year", *(f"{years} years" for years in YEARS[1:])]
    return IndexExam(exam.performed_on.isoformat(), shown[-1], tuple(zip(spans, shown, strict=True)))


def _scored_rows(assessment: Assessment, site: Site, age_at: AgeAt | None) -> Iterator[ScoredRow]:
    line = assessment.trajectory
    judged = latest_scored(assessment)
    for exam in exams_newest_first(assessment):
        if isinstance(exam, ScoredExam):
            apart = tuple(details.apartness(exam, line))
            by = () if judged and exam.score.model == judged.score.model else (_scored_by(exam),)
            yield ScoredRow(
                exam.performed_on.isoformat(),
                percent(exam.score.five_year, beside=site.policy.threshold),
                str(exam.image_type),
                plain(str(exam.device)) or "not named",
                (*apart, *by, *map(plain, exam.warnings)),
                age_at(exam.performed_on) if age_at else "",
            )


def _scored_by(exam: ScoredExam) -> str:
    return f"scored by {plain(details.method_text(exam.score.model))}"


def _unscored_rows(assessment: Assessment) -> Iterator[UnscoredRow]:
    for exam in exams_newest_first(assessment):
        if not isinstance(exam, ScoredExam):
            yield UnscoredRow(exam.performed_on.isoformat() if exam.performed_on else NO_DATE, _reasons(exam))


def _reasons(exam: RefusedExam | PendingExam) -> tuple[str, ...]:
    if isinstance(exam, RefusedExam):
        return tuple(dict.fromkeys(plain(one.sentence) for one in exam.exclusions)) or ("No reason was recorded.",)
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
