"""What the MRI policy is asked about one patient, with which settings, and what one rule answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from fhir_mappings.chart import Chart
from fhir_mappings.orders import Draft, OrderCodes
from fhir_mappings.patients import Sex
from hooks.exams import latest_scored
from hooks.json_rules import is_absolute_url
from hooks.percentages import threshold_percent
from model.domain import GAP_MONTHS, Assessment, ScoredExam


class PolicyError(ValueError):
    """A policy setting that makes no sense; the message names the setting."""


class Comparator(StrEnum):
    """Public texts of the rule disagree on "over" and "at least", so a site chooses."""

    OVER = ">"
    AT_LEAST = ">="


@dataclass(frozen=True)
class MriPolicy:
    """When a breast MRI is suggested, and what counts as a change.

    The threshold is a fraction, 0.017 is 1.7 %, and so is the minimum detectable change, 0.005 is half a percentage
    point; both are compared before any rounding.
    """

    minimum_age_years: int = 35
    threshold: float = 0.017
    comparator: Comparator = Comparator.OVER
    citation: str = (
        "NCCN Clinical Practice Guidelines in Oncology: Breast Cancer Screening and Diagnosis, 2026, "
        "as configured by this site"
    )
    citation_url: str = "https://www.nccn.org/guidelines/guidelines-detail?category=2&id=1421"
    mri_within_months: int = 12
    oldest_score_months: int = 24  # two rounds of annual screening: an older image says little of the breast today
    work_up_days: int = 180  # a diagnostic mammogram so long before the judged exam, or later, is its work-up
    sexes: frozenset[Sex] = frozenset({Sex.FEMALE})  # whom the model was made for
    minimum_detectable_change: float | None = None  # None: not measured at this site
    gap_months: int = GAP_MONTHS

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 1.0:
            raise PolicyError(f"threshold is a fraction between 0 and 1 (0.017 is 1.7 %), got {self.threshold!r}")
        for name in ("minimum_age_years", "mri_within_months", "oldest_score_months", "work_up_days"):
            if getattr(self, name) < 0:
                raise PolicyError(f"{name} must not be negative")
        detectable = self.minimum_detectable_change
        if detectable is not None and not 0.0 < detectable < 1.0:
            raise PolicyError(
                f"minimum_detectable_change is a fraction between 0 and 1 (0.005 is half a point), got {detectable!r}"
            )
        if self.gap_months < 1:
            raise PolicyError("gap_months must be at least 1")
        if not self.citation.strip() or not is_absolute_url(self.citation_url):
            raise PolicyError("citation and citation_url must name the source of the rule, with an absolute address")
        object.__setattr__(self, "comparator", Comparator(self.comparator))

    def is_crossed_by(self, risk: float) -> bool:
        """Whether an unrounded five-year risk (a fraction) crosses the threshold."""
        return risk >= self.threshold if self.comparator is Comparator.AT_LEAST else risk > self.threshold

    @property
    def rule_words(self) -> str:
        """What a score must be: `over 1.7 %` or `at least 1.7 %`."""
        relation = "at least" if self.comparator is Comparator.AT_LEAST else "over"
        return f"{relation} {threshold_percent(self.threshold)}"


@dataclass(frozen=True)
class Case:
    """All that the rules may look at; `today` is the clinic's local day, `drafts` every draft of the session."""

    chart: Chart
    assessment: Assessment
    drafts: tuple[Draft, ...]
    policy: MriPolicy
    today: date
    order_codes: OrderCodes

    @property
    def latest(self) -> ScoredExam | None:
        """The exam whose score is judged."""
        return latest_scored(self.assessment)


class Rule(StrEnum):
    """The questions of the policy, by the word under which the answers are kept."""

    SEX = "sex"
    LIVING = "living"
    RECORD = "record"
    AGE = "age"
    BREAST_HISTORY = "breast-history"
    BREAST_MRI = "breast-mri"
    SCORE_AGE = "score-age"
    NEWEST_EXAM = "newest-exam"
    SCORE = "score"
    RAISED_RISK = "raised-risk"
    LIFETIME_RISK = "lifetime-risk"
    CHEST_IRRADIATION = "chest-irradiation"
    PREGNANCY = "pregnancy"
    CONTRAST_ALLERGY = "contrast-allergy"
    DIAGNOSTIC_MAMMOGRAM = "diagnostic-mammogram"
    WORK_UP = "work-up"


@dataclass(frozen=True)
class Finding:
    """One rule's answer: `met` is None where it is not known; `fact` is a sentence.

    `reason` says in a few words why no MRI is suggested. An unknown withholds the suggestion only where the rule is
    `needed`; otherwise the suggestion stands and the card states what was not known. `instead` is a sentence on what
    to do instead.
    """

    rule: Rule
    met: bool | None
    fact: str
    reason: str = ""
    needed: bool = True
    instead: str = ""

    @property
    def withholds(self) -> bool:
        """Whether this answer alone keeps the MRI suggestion back."""
        return self.met is False or (self.met is None and self.needed)
