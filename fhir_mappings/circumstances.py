"""What else in a chart bears on a breast MRI: from Conditions, Procedures, AllergyIntolerances and Observations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from fhir_mappings.bundles import bundle_resources
from fhir_mappings.code_sets import CodeSet, CodeSets
from fhir_mappings.dates import PartialDate, parse_partial_date
from fhir_mappings.elements import Json, as_object, codes_of, codings, text
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.histories import may_be_true, was_done
from fhir_mappings.subjects import of_patient
from fhir_mappings.unread import Unread

PREGNANCY_DAYS = 300
"""A pregnancy noted longer ago is over, whatever nobody wrote down since: ten months, as nine are not exact."""
_OVER = frozenset({"inactive", "resolved", "remission"})  # R4 condition-clinical
# R4 observation-status: a value that was withdrawn or never came about says nothing.
_NO_VALUE = frozenset({"entered-in-error", "cancelled", "registered"})


class Circumstance(StrEnum):
    """What is asked of a chart, by the name of its code set."""

    RAISED_RISK = "raised-risk"
    LIFETIME_RISK = "lifetime-risk"
    CHEST_IRRADIATION = "chest-irradiation"
    IRRADIATION = "irradiation"
    PREGNANCY = "pregnancy"
    CONTRAST_ALLERGY = "contrast-allergy"
    OPEN_ASSESSMENT = "open-assessment"
    RENAL_DISEASE = "renal-disease"
    LACTATION = "lactation"
    BREAST_BIOPSY = "breast-biopsy"


@dataclass(frozen=True)
class Circumstances:
    """What is on record; of which it could not be looked up whether it is, with the reason; else it was looked.

    `not_asked` are those for which no code is known, here or to the site.
    """

    present: frozenset[Circumstance] = frozenset()
    unread: Mapping[Circumstance, str] = field(default_factory=dict)
    not_asked: frozenset[Circumstance] = frozenset()


@dataclass(frozen=True)
class _Source:
    """The patient's own resources of one type that count, and what of them could not be read."""

    resources: tuple[Json, ...] = ()
    problem: str | None = None


def read_circumstances(resources: Mapping[str, object], patient_id: str, today: date, sets: CodeSets) -> Circumstances:
    """The circumstances in the JSON under conditions, procedures, allergies and observations; any may be missing."""
    sources = {key: _read(key, resources.get(key), patient_id, counts) for key, counts in _COUNTS.items()}
    asked = [one for one in Circumstance if sets[one]]
    found = {one: _is_present(one, sources, today, sets) for one in asked}
    unread = {one: _why_unread(one, sources) for one, is_present in found.items() if not is_present}
    return Circumstances(
        frozenset(one for one, is_present in found.items() if is_present),
        {one: why for one, why in unread.items() if why is not None},
        frozenset(Circumstance).difference(asked),
    )


_COUNTS: Mapping[str, Callable[[Json], bool]] = {
    "conditions": may_be_true,
    "procedures": was_done,
    "allergies": lambda allergy: may_be_true(allergy) and not _is_past(allergy),
    "observations": lambda observation: text(observation.get("status")) not in _NO_VALUE,
}
_TYPES = {
    "conditions": "Condition",
    "procedures": "Procedure",
    "allergies": "AllergyIntolerance",
    "observations": "Observation",
}
_WHERE: Mapping[Circumstance, tuple[str, ...]] = {
    Circumstance.RAISED_RISK: ("conditions",),
    Circumstance.LIFETIME_RISK: ("conditions", "observations"),
    Circumstance.CHEST_IRRADIATION: ("conditions", "procedures"),
    Circumstance.IRRADIATION: ("conditions", "procedures"),
    Circumstance.PREGNANCY: ("conditions", "observations"),
    Circumstance.CONTRAST_ALLERGY: ("allergies", "conditions"),
    Circumstance.OPEN_ASSESSMENT: ("observations",),
    Circumstance.RENAL_DISEASE: ("conditions",),
    Circumstance.LACTATION: ("conditions",),
    Circumstance.BREAST_BIOPSY: ("procedures",),
}


def _read(key: str, value: object, patient_id: str, counts: Callable[[Json], bool]) -> _Source:
    kind = _TYPES[key]
    if isinstance(value, Unread):
        return _Source(problem=value.why)
    if value is None:
        return _Source(problem="the EHR sent nothing for it")
    try:
        listing = bundle_resources(value, kind)
    except ResourceProblem as problem:
        return _Source(problem=str(problem))
    hers, left_out = of_patient(listing.resources, patient_id, f"{kind} entry", f"{kind} entries")
    problems = (*listing.problems, *left_out)
    return _Source(tuple(one for one in hers if counts(one)), problems[0] if problems else None)


def _is_present(one: Circumstance, sources: Mapping[str, _Source], today: date, sets: CodeSets) -> bool:
    if one is Circumstance.OPEN_ASSESSMENT:
        return _is_open(sources["observations"].resources, sets)
    if one is Circumstance.PREGNANCY:
        return _is_pregnant(sources, today, sets[one])
    coded = [resource for key in _WHERE[one] for resource in sources[key].resources]
    if one is Circumstance.LACTATION:
        coded = [condition for condition in coded if not _is_over(condition)]
    return any(sets[one].holds_any(_codes(resource)) for resource in coded)


def _why_unread(one: Circumstance, sources: Mapping[str, _Source]) -> str | None:
    return next((sources[key].problem for key in _WHERE[one] if sources[key].problem), None)


def _codes(resource: Json) -> frozenset[tuple[str, str]]:
    """What a resource says: an Observation by its value, as its code is only what was asked.

    An allergy may name its substance in three places (R4 and before).
    """
    if resource.get("resourceType") == "Observation":
        return frozenset(coding.key for coding in codings(resource.get("valueCodeableConcept")))
    reactions = resource.get("reaction")
    substances = [as_object(one).get("substance") for one in reactions] if isinstance(reactions, list) else []
    written = (resource.get("code"), resource.get("substance"), *substances)
    return frozenset(coding.key for element in written for coding in codings(element))


def _is_past(allergy: Json) -> bool:
    """In DSTU2 the one `status` says it."""
    return bool((codes_of(allergy.get("clinicalStatus")) | codes_of(allergy.get("status"))) & _OVER)


def _is_over(condition: Json) -> bool:
    ended = any(name.startswith("abatement") and value not in (None, False) for name, value in condition.items())
    return ended or bool(codes_of(condition.get("clinicalStatus")) & _OVER)


def _day(resource: Json, *elements: str) -> PartialDate | None:
    for element in elements:
        value = resource.get(element)
        day = parse_partial_date(as_object(value).get("start") or value)
        if day is not None:
            return day
    return None


def _is_pregnant(sources: Mapping[str, _Source], today: date, pregnant: CodeSet) -> bool:
    """Whether a pregnancy is on record that may still last; one without a date may."""
    noted = [c for c in sources["conditions"].resources if pregnant.holds_any(_codes(c)) and not _is_over(c)]
    days = [_day(c, "onsetDateTime", "onsetPeriod", "recordedDate", "assertedDate", "dateRecorded") for c in noted]
    seen = [o for o in sources["observations"].resources if pregnant.holds_any(_codes(o))]
    days += [_day(o, "effectiveDateTime", "effectivePeriod", "issued") for o in seen]
    return any(day is None or day.latest >= today - timedelta(days=PREGNANCY_DAYS) for day in days)


def _is_open(observations: Iterable[Json], sets: CodeSets) -> bool:
    """Whether the newest BI-RADS category is one that asks for more than the next screening.

    One without a date counts as the newest; of one day the open one counts.
    """
    opened = sets["open-assessment"]
    told_by = opened | sets["closed-assessment"]
    told = [(o, opened.holds_any(_codes(o))) for o in observations if told_by.holds_any(_codes(o))]
    dated = [(_day(o, "effectiveDateTime", "effectivePeriod", "issued"), is_open) for o, is_open in told]
    newest = max(((day.latest if day else date.max, is_open) for day, is_open in dated), default=None)
    return newest is not None and newest[1]
