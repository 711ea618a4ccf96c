"""What else in a chart bears on a breast MRI: from Conditions, Procedures, AllergyIntolerances and Observations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from fhir_mappings.bundles import bundle_resources
from fhir_mappings.code_sets import CodeSet, CodeSets
from fhir_mappings.codes import Code
from fhir_mappings.dates import PartialDate, parse_partial_date
from fhir_mappings.elements import Json, as_object, codes_of, codings, objects, text
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.histories import may_be_true, was_done
from fhir_mappings.sides import BOTH, Side, names_no_place, sides_told
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
class _Entry:
    """A resource that counts, with the codes of what it says, which are asked for many times."""

    resource: Json
    codes: frozenset[Code]


@dataclass(frozen=True)
class _Source:
    """The patient's own resources of one type that count, and what of them could not be read."""

    entries: tuple[_Entry, ...] = ()
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
OBSERVED = frozenset(one for one, keys in _WHERE.items() if "observations" in keys)
"""What is looked for in Observations, too."""


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
    return _Source(tuple(_Entry(one, _codes(one)) for one in hers if counts(one)), problems[0] if problems else None)


def _is_present(one: Circumstance, sources: Mapping[str, _Source], today: date, sets: CodeSets) -> bool:
    if one is Circumstance.OPEN_ASSESSMENT:
        return _is_open(sources["observations"].entries, sets)
    if one is Circumstance.PREGNANCY:
        return _is_pregnant(sources, today, sets)
    coded = [entry for key in _WHERE[one] for entry in sources[key].entries]
    if one is Circumstance.LACTATION:
        coded = [entry for entry in coded if not _is_over(entry.resource)]
    return any(sets[one].holds_any(entry.codes) for entry in coded)


def _why_unread(one: Circumstance, sources: Mapping[str, _Source]) -> str | None:
    return next((sources[key].problem for key in _WHERE[one] if sources[key].problem), None)


def _codes(resource: Json) -> frozenset[Code]:
    """What a resource says: an Observation by its value or those of its components, as its code is only what was asked.

    An allergy may name its substance in three places (R4 and before).
    """
    if resource.get("resourceType") == "Observation":
        answers = (resource, *objects(resource.get("component")))
        return _keys(answer.get("valueCodeableConcept") for answer in answers)
    reactions = resource.get("reaction")
    substances = [as_object(one).get("substance") for one in reactions] if isinstance(reactions, list) else []
    return _keys((resource.get("code"), resource.get("substance"), *substances))


def _keys(elements: Iterable[object]) -> frozenset[Code]:
    return frozenset(coding.key for element in elements for coding in codings(element))


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


def _observed_on(observation: Json) -> PartialDate | None:
    return _day(observation, "effectiveDateTime", "effectiveInstant", "effectivePeriod", "issued")


def _is_pregnant(sources: Mapping[str, _Source], today: date, sets: CodeSets) -> bool:
    """Whether a pregnancy is on record that may still last; one without a date may.

    A later "not pregnant" to the same question ends what was answered before, and no diagnosis.
    """
    noted = [c for c in _saying(sets["pregnancy"], sources["conditions"]) if not _is_over(c)]
    days = [_day(c, "onsetDateTime", "onsetPeriod", "recordedDate", "assertedDate", "dateRecorded") for c in noted]
    denied_on = _last_days(_saying(sets["not-pregnant"], sources["observations"]))
    seen = [(_questions(o), _observed_on(o)) for o in _saying(sets["pregnancy"], sources["observations"])]
    days += [day for asked, day in seen if day is None or all(denied_on.get(q, date.min) <= day.latest for q in asked)]
    return any(day is None or day.latest >= today - timedelta(days=PREGNANCY_DAYS) for day in days)


def _saying(codes: CodeSet, source: _Source) -> list[Json]:
    return [entry.resource for entry in source.entries if codes.holds_any(entry.codes)]


def _last_days(answers: Iterable[Json]) -> dict[Code, date]:
    """For each question that they answer, the last day on which they surely did."""
    last: dict[Code, date] = {}
    for answer in answers:
        if day := _observed_on(answer):
            last.update({asked: max(day.earliest, last.get(asked, date.min)) for asked in _questions(answer)})
    return last


def _questions(observation: Json) -> frozenset[Code]:
    """What was asked, by code and, as a code of no system, in words."""
    code = observation.get("code")
    words = text(as_object(code).get("text")).casefold()
    return _keys([code]) | ({("", words)} if words else frozenset())


@dataclass(frozen=True)
class _Assessment:
    """A BI-RADS category: whether it asks for more than the next screening, of which breasts, and on which day.

    Where the day is not known, an open one counts by the latest that it may be, and one that is not by the earliest.
    """

    is_open: bool
    sides: frozenset[Side]
    day: date


def _is_open(observations: Iterable[_Entry], sets: CodeSets) -> bool:
    """Whether of either breast the newest BI-RADS category is an open one; of one day the open one counts."""
    told = tuple(_assessments(observations, sets))
    return any(_is_newest_open(one for one in told if side in one.sides) for side in Side)


def _is_newest_open(assessments: Iterable[_Assessment]) -> bool:
    newest = max(assessments, key=lambda one: (one.day, one.is_open), default=None)
    return newest is not None and newest.is_open


def _assessments(observations: Iterable[_Entry], sets: CodeSets) -> Iterator[_Assessment]:
    for entry in observations:
        day, sides = _observed_on(entry.resource), sides_told(entry.resource, sets)
        if sets["open-assessment"].holds_any(entry.codes):
            yield _Assessment(True, sides or BOTH, day.latest if day else date.max)
        elif sets["closed-assessment"].holds_any(entry.codes):
            # One of a place that cannot be read may be of either breast, and stands for neither.
            of_both = not sides and names_no_place(entry.resource, sets)
            yield _Assessment(False, BOTH if of_both else sides, day.earliest if day else date.min)
