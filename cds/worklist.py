"""Who comes first, where a site has fewer MRI places than women over its threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import takewhile

from rich.table import Table

from cds.store.assessments import AssessmentRecords
from cds.store.cards import Accepted, CardRecords
from cds.store.tables import Assessment
from hooks.case import MriPolicy
from hooks.percentages import percent, points
from model.domain import is_measurable

MRI_ORDER = "ServiceRequest"
BY_SCORE_ALONE = "By score alone: age, history and MRI orders are looked at when a card is made."
RISING = "Rising: by the minimum detectable change of the settings or more."
NONE_RISING = "None is marked as rising: the settings have no policy.minimum_detectable_change_points."


@dataclass(frozen=True)
class Entry:
    """One woman over the threshold; the score is in percent, the change in percentage points."""

    ehr: str
    patient_id: str
    exam_date: str
    five_year_percent: float
    change_points: float | None
    over_years: float
    newly_over: bool
    rising: bool
    model: str


def worklist(
    assessments: AssessmentRecords, cards: CardRecords, model: str, is_over: Callable[[float], bool]
) -> list[Entry]:
    """Everyone whose newest score is over the threshold, highest first, unless an MRI suggestion was accepted since."""
    acted_on = cards.acted_on(MRI_ORDER)
    entries = []
    # The highest come first: nobody after the first who is not over it is.
    for kept in takewhile(lambda kept: is_over(kept.five_year), assessments.current(model)):
        if not _is_done(kept, acted_on.get((kept.ehr, kept.patient_id))):
            change = None if kept.change is None else _percent(kept.change)
            entries.append(
                Entry(
                    kept.ehr,
                    kept.patient_id,
                    kept.performed_on.isoformat(),
                    _percent(kept.five_year),
                    change,
                    kept.years,
                    kept.newly_over,
                    kept.rising,
                    kept.model,
                )
            )
    return entries


def _is_done(kept: Assessment, accepted: Accepted | None) -> bool:
    """Whether a suggestion was accepted since the exam; a clinic's morning may be the day before it in UTC."""
    if accepted is None:
        return False
    return accepted.study_uid == kept.study_uid or accepted.at.date() >= kept.performed_on


def _percent(fraction: float) -> float:
    """Exact: 100 * 0.066 would be 6.6000000000000005."""
    return float(Decimal(repr(fraction)) * 100)


def _fraction(percent: float) -> float:
    """Exact, as `_percent` is."""
    return float(Decimal(repr(percent)) / 100)


def as_table(entries: Iterable[Entry], policy: MriPolicy) -> Table:
    """The list for people, with scores and changes in the words of the cards."""
    title = f"5-year score {policy.rule_words}, without an MRI suggestion acted on"
    rising = NONE_RISING if policy.minimum_detectable_change is None else RISING
    table = Table(title=title, caption=f"{BY_SCORE_ALONE} {rising}")
    for heading in ("EHR", "Patient", "Exam"):
        table.add_column(heading, overflow="fold")  # half an id is none
    for heading in ("5-year score", "Change"):
        table.add_column(heading, justify="right")
    table.add_column("Remarks")
    for entry in entries:
        remarks = [word for word, said in (("newly over", entry.newly_over), ("rising", entry.rising)) if said]
        score = percent(_fraction(entry.five_year_percent), beside=policy.threshold)
        change = _change(entry, policy.minimum_detectable_change)
        table.add_row(entry.ehr, entry.patient_id, entry.exam_date, score, change, ", ".join(remarks))
    return table


def _change(entry: Entry, minimum: float | None) -> str:
    if entry.change_points is None:
        return ""
    change = _fraction(entry.change_points)
    moved = "no measurable change" if is_measurable(change, minimum) is False else points(change)
    return f"{moved} in {entry.over_years:.1f} years"
