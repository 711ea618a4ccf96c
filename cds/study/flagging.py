"""Who each policy would have flagged, by the service's own rule over scores and age, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import pandas as pd

from cds.errors import StudyNotPossible
from cds.study.cohorts.cohort import DAYS_PER_YEAR, Cohort
from hooks.case import Comparator, MriPolicy
from hooks.percentages import limit_in_points
from model.trajectory import MOST_PRIORS

AGE_BANDS = {"under 35": 0, "35 to 39": 35, "40 to 49": 40, "50 to 59": 50, "60 to 69": 60, "70 and over": 70}
NOT_KNOWN = "not known"
LONGEST_DAYS = 366
"""A woman counts once: the rule offers no second MRI within a year."""
_TO_A_YEARS_END = timedelta(days=364)


@dataclass(frozen=True)
class Period:
    """The days from one to another, both with it."""

    since: date
    until: date

    def __post_init__(self) -> None:
        if not 1 <= self.days <= LONGEST_DAYS:
            raise StudyNotPossible(
                f"the period from {self.since} to {self.until} has {self.days} days: it must have at least one, and "
                "at most a year, as each woman is counted once"
            )

    @classmethod
    def of(cls, exams: pd.DataFrame, since: date | None, until: date | None) -> Period:
        """The period that was asked for; what is left open makes it the year that ends with the last exam."""
        try:
            if until is None:
                until = since + _TO_A_YEARS_END if since else exams["exam_date"].max().date()
            return cls(since or until - _TO_A_YEARS_END, until)
        except OverflowError:
            raise StudyNotPossible(
                "the period has no other end: the calendar is over; check --since and --until"
            ) from None

    @property
    def days(self) -> int:
        """How many days they are."""
        return (self.until - self.since).days + 1

    @property
    def weeks(self) -> float:
        """How many weeks they are."""
        return self.days / 7


@dataclass(frozen=True)
class Flagged:
    """One policy, in words, and the women of the period by patient.

    `women` has `is_flagged`; `index_date`, the day of the first exam that it flags, else of her last exam; `has_cancer`
    within the follow-up from that day; `is_complete`, where she was followed so long or her cancer is known.
    """

    name: str
    words: str
    women: pd.DataFrame


@dataclass(frozen=True)
class Screened:
    """The exams of a period, one a day and none after a diagnosis, with what came before them.

    `cohort` holds what was examined in the period; `history` those exams and all earlier ones.
    """

    cohort: Cohort
    history: pd.DataFrame
    period: Period

    @classmethod
    def of(cls, cohort: Cohort, since: date | None, until: date | None) -> Screened:
        """The period of a cohort; raises StudyNotPossible where nobody was examined in it."""
        single = cohort.one_exam_a_day()
        days = single.exams["exam_date"]
        diagnosed = single.exams["patient"].map(single.women["diagnosis_date"])
        before = single.only(~(days > diagnosed), "an exam after the diagnosis")
        period = Period.of(before.exams, since, until)
        day = before.exams["exam_date"]
        is_within = (day >= pd.Timestamp(period.since)) & (day <= pd.Timestamp(period.until))
        if not is_within.any():
            raise StudyNotPossible(f"nobody was examined from {period.since} to {period.until}")
        return cls(before.only(is_within, "an exam before or after the period"), before.exams, period)

    @cached_property
    def last_exams(self) -> pd.DataFrame:
        """The last exam of each woman in the period, by patient."""
        return self.cohort.exams.drop_duplicates("patient", keep="last").set_index("patient")

    @cached_property
    def parts(self) -> dict[str, pd.Series]:
        """What women may be divided by, as at their last exam of the period: words by patient."""
        age = pd.cut(self.last_exams["age"], [*AGE_BANDS.values(), np.inf], right=False, labels=list(AGE_BANDS))
        of = {"age": age, "density": self.last_exams["density"], "device": self.last_exams["device"]}
        of["group"] = self.cohort.women["group"].reindex(self.last_exams.index)
        return {name: one.astype(object).where(one.notna(), NOT_KNOWN).astype(str) for name, one in of.items()}

    def flagged(self, name: str, words: str, flags: pd.Series, follow_up_years: float) -> Flagged:
        """The women of whose exams in the period `flags` (by exam) is true at least once."""
        days = self.cohort.exams.groupby("patient")["exam_date"].max()
        first = self.cohort.exams[flags].groupby("patient")["exam_date"].min().reindex(days.index)
        index_date = first.fillna(days)
        known = self.cohort.women.loc[days.index]
        until = index_date + pd.Timedelta(days=round(follow_up_years * DAYS_PER_YEAR))
        has_cancer = (known["diagnosis_date"] >= index_date) & (known["diagnosis_date"] <= until)
        is_complete = has_cancer | (known["last_follow_up"] >= until)
        columns = {"is_flagged": first.notna(), "index_date": index_date, "has_cancer": has_cancer}
        return Flagged(name, words, pd.DataFrame({**columns, "is_complete": is_complete}))


def is_old_enough(exams: pd.DataFrame, policy: MriPolicy) -> pd.Series:
    """Whether the rule speaks of her at that exam; as in the service, an age that is not known does not do."""
    return exams["age"] >= policy.minimum_age_years


def crossing(scores: pd.Series, threshold: float, comparator: Comparator) -> pd.Series:
    """Which scores cross a threshold, as the policy compares."""
    return scores >= threshold if comparator is Comparator.AT_LEAST else scores > threshold


def percentile_cut(scores: pd.Series, percentile: float) -> float:
    """The least score that at least so many per cent of these do not exceed: at most the rest is over it."""
    return float(np.quantile(scores.to_numpy(), percentile / 100, method="inverted_cdf"))


def percentile_words(exams: pd.DataFrame, percentile: float, cut: float, fewest: int) -> str:
    """The rule with its cut, which is an exam's own score: only where many women are over it, and many not over it.

    Where nobody is over it, it is the highest score of all.
    """
    sides = exams["patient"].groupby(exams["score"] > cut).nunique().reindex([False, True], fill_value=0)
    told = f"{100 * cut:.2f} %" if (sides >= fewest).all() else "which is not told (too few)"
    return f"over the site's {percentile:g}th percentile, {told}"


def flag_all(
    screened: Screened, policy: MriPolicy, percentile: float, follow_up_years: float, fewest: int
) -> list[Flagged]:
    """Every policy in the order in which it is told; rising only where the site has its minimum detectable change."""
    exams = screened.cohort.exams
    cut = percentile_cut(exams["score"], percentile)
    scores = screened.history["score"]
    over = crossing(scores, policy.threshold, policy.comparator)
    flags: dict[str, tuple[str, pd.Series]] = {
        "threshold": (policy.rule_words, over),
        "percentile": (
            percentile_words(exams, percentile, cut, fewest),
            screened.history["score"] > cut,
        ),
        "newly_over": (f"{policy.rule_words} for the first time, with an earlier exam", newly(screened.history, over)),
    }
    if policy.minimum_detectable_change is not None:
        rising = is_rising(screened.history, policy.minimum_detectable_change)
        words = f"risen by at least {limit_in_points(policy.minimum_detectable_change)} points"
        flags["rising"] = (words, rising)
        flags["over_and_rising"] = (f"{policy.rule_words}, and {words}", over & rising)
    may = is_old_enough(exams, policy)
    return [
        screened.flagged(name, words, is_flagged.loc[exams.index] & may, follow_up_years)
        for name, (words, is_flagged) in flags.items()
    ]


def newly(exams: pd.DataFrame, over: pd.Series) -> pd.Series:
    """Whether an exam is over while none of her earlier ones was, and there is one: as in the service's worklist."""
    patient = exams["patient"]
    earlier_over = over.astype(int).groupby(patient).cumsum() - over
    return over & (earlier_over == 0) & (patient.groupby(patient).cumcount() > 0)


def is_rising(exams: pd.DataFrame, minimum: float) -> pd.Series:
    """Whether the score rose measurably from the first exam of the service's line, of six priors at most, to this."""
    place = exams.groupby("patient").cumcount().to_numpy()
    rows = np.arange(len(exams))
    scores = exams["score"].to_numpy()
    rise = scores - scores[rows - np.minimum(place, MOST_PRIORS)]
    # 0.03 - 0.02 is a float just under 0.01, so equality needs its tolerance.
    return pd.Series((rise > 0) & ((rise >= minimum) | np.isclose(rise, minimum, rtol=1e-9, atol=0)), index=exams.index)
