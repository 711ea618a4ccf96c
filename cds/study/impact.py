"""Before going live: who would have been flagged, how many MRI a week that is, and in whom cancer was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import pandas as pd

from cds.errors import StudyNotPossible
from cds.study.capacity import Fitting, fitting_threshold, highest_scores, load_svg
from cds.study.cohorts.cohort import Cohort
from cds.study.flagging import Flagged, Screened, flag_all
from cds.study.impact_tables import CANCER_SHARE, RATE, parts_table, policies_table
from cds.study.progress import Track
from cds.study.telling.report import Picture, Report, Table
from cds.study.telling.small_cells import NOT_TOLD
from hooks.policy import MriPolicy

MOST_CAPACITY = 100_000
LIMITS = (
    "By score and age alone: the service also looks at histories, orders, MRI of the last year and open work-ups, "
    "which are not in these exams, so fewer would be suggested an MRI than are flagged here.",
    "A cancer that was flagged is not one that MRI would have found, nor found earlier: most cancers of a screened "
    "population are found by the very mammogram that was scored. Unflagged is not free of cancer, and no reason for "
    "less screening.",
)


@dataclass(frozen=True)
class Foreseen:
    """What a site asks: its rule, its places for MRI, a percentile to compare, the period, and how long to look on.

    Without `since` and `until` the period is the year that ends with the last exam.
    """

    capacity_a_week: float
    policy: MriPolicy = field(default_factory=MriPolicy)
    percentile: float = 97.0
    since: date | None = None
    until: date | None = None
    follow_up_years: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.capacity_a_week <= MOST_CAPACITY:
            raise StudyNotPossible(f"--capacity is how many MRI there are a week: more than 0, {MOST_CAPACITY} at most")
        if not 0 < self.percentile < 100:
            raise StudyNotPossible(
                "--percentile is over 0 and under 100, such as 97 for the highest three in a hundred"
            )
        if not 0 < self.follow_up_years <= 20:
            raise StudyNotPossible("--follow-up is in years, over 0 and 20 at most")


def impact_report(cohort: Cohort, fewest: int, track: Track, asked: Foreseen) -> Report:
    """What the policies would have meant for the women examined in one period."""
    screened = Screened.of(cohort, asked.since, asked.until)
    policies = flag_all(screened, asked.policy, asked.percentile, asked.follow_up_years, fewest)
    has_outcomes = bool(cohort.is_diagnosed.any())
    women = len(screened.last_exams)
    if women < fewest:
        raise StudyNotPossible(f"fewer than {fewest} women were examined in the period: nothing can be told of them")
    overall = policies_table(policies, screened, asked.capacity_a_week, has_outcomes, fewest)
    parts = [parts_table(screened, policies, name, has_outcomes, fewest) for name in track([*screened.parts], "Parts")]
    highest = highest_scores(screened, asked.policy)
    fitting = fitting_threshold(
        highest, math.floor(asked.capacity_a_week * screened.period.weeks), asked.policy.comparator
    )
    sentences = (*_sentences(screened, asked, overall, has_outcomes, fewest), *_fitting_words(fitting, asked, fewest))
    return Report(
        title="Impact: who would have been flagged",
        sentences=(*sentences, *LIMITS),
        parts=(
            Table("policies", "By policy", overall, _policies_note(policies, asked, has_outcomes)),
            _load(highest, screened, asked, fewest),
            *(table for table in parts if table is not None),
        ),
        flow=screened.cohort.flow,
        figures={"women": women, **_figures(overall, fitting, fewest), **_figures_of_groups(parts)},
    )


def _load(highest: pd.Series, screened: Screened, asked: Foreseen, fewest: int) -> Picture:
    svg = load_svg(highest, screened.period.weeks, asked.capacity_a_week, asked.policy.threshold, fewest)
    words = "Women flagged a week, on average, by the threshold of the score; the places a week; the threshold asked."
    return Picture("MRI a week by threshold", svg, words)


def _policies_note(policies: list[Flagged], asked: Foreseen, has_outcomes: bool) -> str:
    notes = [f"Intervals: 95 %, Wilson. {NOT_TOLD.capitalize()}: too few, or what would tell them by subtraction."]
    if has_outcomes:
        years = f"{asked.follow_up_years:g} year{'' if asked.follow_up_years == 1 else 's'}"
        notes.append(
            f"Cancers: found within {years} of the exam that was flagged, else of her last, on its day or later. "
            "Followed up: women whose follow-up is so long, or whose cancer is known; some "
            "of the others may have had one."
        )
    if not any(one.name == "rising" for one in policies):
        notes.append(
            "Rising is left out: the site's minimum detectable change is not known (see the study of repeatability)."
        )
    return " ".join(notes)


def _sentences(
    screened: Screened, asked: Foreseen, overall: pd.DataFrame, has_outcomes: bool, fewest: int
) -> list[str]:
    period, first = screened.period, overall.iloc[0]
    said = [
        f"{len(screened.last_exams)} women were examined from {period.since} to {period.until}; each is counted once.",
        f"{first['rule'].capitalize()}, {first['women flagged']} of them would have been flagged"
        + (
            "." if first["women flagged"] == NOT_TOLD else f" ({first[RATE['share']]} %), {first['MRI a week']} a week."
        ),
    ]
    said.append(_age_words(screened, asked.policy.minimum_age_years, fewest))
    if not has_outcomes:
        said.append("No diagnosis is known of any woman here, so that nothing is said of cancers.")
    return said


def _age_words(screened: Screened, minimum: int, fewest: int) -> str:
    """Whom the rule leaves out by age; the table by age has bands, in none of which a few may follow from it."""
    ages = screened.last_exams["age"]
    young, unknown = ages < minimum, ages.isna()
    how_many = f"{young.sum()} women were younger at their last exam and of {unknown.sum()} the age is not known"
    cells = pd.crosstab(screened.parts["age"], young).to_numpy()
    if ((cells > 0) & (cells < fewest)).any():
        how_many = "how many were younger at their last exam, or of an age that is not known, is not told (too few)"
    return f"The rule begins at {minimum}: {how_many}; none of these is flagged then."


def _fitting_words(fitting: Fitting, asked: Foreseen, fewest: int) -> list[str]:
    places = f"For {asked.capacity_a_week:g} MRI a week ({fitting.places} in the period)"
    if not fitting.may_be_told(fewest):
        return [f"{places} no threshold is told: of the few women over it, or under it, it would tell the scores."]
    if not fitting.is_needed:
        return [f"{places} no threshold is needed: there is a place for every woman who is old enough for the rule."]
    if not fitting.is_threshold:
        return [f"{places} there is no threshold: more women than that have 99.99 % or more."]
    rule = MriPolicy(threshold=fitting.threshold, comparator=asked.policy.comparator).rule_words
    said = [
        f"{places} the lowest threshold that flags no more women is: {rule}. It is exact for these scores, an "
        "estimate for next year's."
    ]
    if fitting.tied >= fewest:
        said.append(f"{fitting.tied} women share the score at that edge: they are flagged together or not at all.")
    return said


def _figures(overall: pd.DataFrame, fitting: Fitting, fewest: int) -> dict[str, float | int | str | None]:
    names = {
        "women flagged": "women_flagged",
        RATE["share"]: "flagged_percent",
        "MRI a week": "mri_a_week",
        CANCER_SHARE["share"]: "of_cancers_flagged_percent",
    }
    is_told = fitting.may_be_told(fewest) and fitting.is_needed and fitting.is_threshold
    figures: dict[str, float | int | str | None] = {
        "rule": str(overall["rule"].iloc[0]),
        "capacity_threshold_percent": fitting.percent if is_told else None,
    }
    for row in overall.to_dict("records"):
        told_of = {short: row[name] for name, short in names.items() if name in row}
        figures |= {f"{row['policy'].replace(' ', '_')}_{short}": _figure(value) for short, value in told_of.items()}
    return figures


def _figures_of_groups(parts: Sequence[Table | None]) -> dict[str, float | int | str | None]:
    """Which share of each of the site's own groups the rule flags, for fairness."""
    frame = next((part.frame for part in parts if part is not None and part.name == "by_group"), None)
    if frame is None:
        return {}
    by_rule = frame[frame["policy"] == frame["policy"].iloc[0]]
    shares = zip(by_rule["part"], by_rule[RATE["share"]], strict=True)
    return {f"threshold_flagged_percent_of_{group}": _figure(share) for group, share in shares}


def _figure(value: object) -> float | int | None:
    return value if isinstance(value, (int, float)) and value == value else None
