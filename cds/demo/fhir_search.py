"""The FHIR searches that the embedded EHR answers: tokens, references, dates and sorting (FHIR R4, Search)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

from fhir_mappings.dates import parse_partial_date

Json = dict[str, Any]
Moments = tuple[datetime, datetime]


@dataclass(frozen=True)
class Parameter:
    """A search parameter: where its values are (alternatives, as dotted paths), and how they match."""

    matches: Callable[[object, str], bool]
    paths: tuple[str, ...]

    def holds(self, resource: Json, value: str) -> bool:
        """Whether any value of the resource matches any of the comma-separated alternatives."""
        found = [element for path in self.paths for element in elements(resource, path)]
        return any(self.matches(element, wanted) for wanted in value.split(",") for element in found)


def elements(resource: object, path: str) -> list[object]:
    """All elements at a dotted path such as `series.modality`, lists flattened."""
    found = [resource]
    for name in path.split("."):
        below = [element[name] for element in found if isinstance(element, dict) and name in element]
        found = [member for element in below for member in (element if isinstance(element, list) else [element])]
    return found


def search(resources: Iterable[Json], resource_type: str, query: Sequence[tuple[str, str]]) -> list[Json]:
    """The resources for which every known parameter holds, in the order that `_sort` asks for."""
    known = PARAMETERS[resource_type]
    filters = [(known[name], value) for name, value in query if name in known]
    found = [resource for resource in resources if all(known.holds(resource, value) for known, value in filters)]
    for key in reversed(_sort_keys(query)):
        parameter = known.get(key.lstrip("-"))
        if parameter is not None:
            found.sort(key=partial(_sort_text, by=parameter), reverse=key.startswith("-"))
    return found


def understood(resource_type: str, query: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The part of a query that is acted on; the rest is ignored, which a self link must show."""
    known = {*PARAMETERS[resource_type], "_sort", "_count", "_offset"}
    return [(name, value) for name, value in query if name in known]


def _sort_keys(query: Sequence[tuple[str, str]]) -> list[str]:
    return [key for name, value in query if name == "_sort" for key in value.split(",")]


def _sort_text(resource: Json, by: Parameter) -> str:
    return min((str(element) for path in by.paths for element in elements(resource, path)), default="")


def _token(element: object, wanted: str) -> bool:
    """A code, Coding, Identifier or CodeableConcept against `code`, `system|code`, `system|` or `|code`."""
    if not isinstance(element, dict):
        return str(element) == wanted.rpartition("|")[2]
    if "coding" in element:
        return any(_token(coding, wanted) for coding in elements(element, "coding"))
    code = element.get("code", element.get("value"))
    system, bar, value = wanted.rpartition("|")
    return (not value or code == value) and (not bar or element.get("system", "") == system)


def _reference(element: object, wanted: str) -> bool:
    reference = element.get("reference") if isinstance(element, dict) else None
    # The subject may be written `123`, `Patient/123` or with the server's address in front.
    return isinstance(reference, str) and reference.split("/")[-1] == wanted.split("/")[-1]


_COMPARISONS: Mapping[str, Callable[[Moments, Moments], bool]] = {
    "eq": lambda found, wanted: wanted[0] <= found[0] and found[1] <= wanted[1],
    "gt": lambda found, wanted: found[1] > wanted[1],
    "ge": lambda found, wanted: found[1] > wanted[0],
    "lt": lambda found, wanted: found[0] < wanted[0],
    "le": lambda found, wanted: found[0] < wanted[1],
}


def _date(element: object, wanted: str) -> bool:
    """A dateTime or Period against `2026-01-31`, `ge2026`, ...: partial dates are the time that they cover."""
    prefix, value = (wanted[:2], wanted[2:]) if wanted[:2] in _COMPARISONS else ("eq", wanted)
    found, asked = _covered(element), _covered(value)
    return found is not None and asked is not None and _COMPARISONS[prefix](found, asked)


def _covered(element: object) -> Moments | None:
    if isinstance(element, dict):
        first, last = _covered(element.get("start")), _covered(element.get("end"))
        beginning = first[0] if first else datetime.min.replace(tzinfo=UTC)
        end = last[1] if last else datetime.max.replace(tzinfo=UTC)
        return (beginning, end) if first or last else None
    if isinstance(element, str) and "T" in element:
        return _instant(element)
    days = parse_partial_date(element)
    return (_midnight(days.earliest), _midnight(days.latest + timedelta(days=1))) if days else None


def _instant(written: str) -> Moments | None:
    try:
        # A "+" that was not percent-encoded arrives as a blank.
        moment = datetime.fromisoformat(written.replace(" ", "+"))
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware, aware + timedelta(milliseconds=1)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


_PATIENT = Parameter(_reference, ("subject", "patient"))
_COMMON = {
    "_id": Parameter(_token, ("id",)),
    "_lastUpdated": Parameter(_date, ("meta.lastUpdated",)),
    "identifier": Parameter(_token, ("identifier",)),
}
_CLINICAL = {**_COMMON, "patient": _PATIENT, "subject": _PATIENT, "code": Parameter(_token, ("code",))}

PARAMETERS: Mapping[str, Mapping[str, Parameter]] = {
    "Patient": {**_COMMON, "birthdate": Parameter(_date, ("birthDate",)), "gender": Parameter(_token, ("gender",))},
    "Practitioner": _COMMON,
    "Endpoint": _COMMON,
    "ImagingStudy": {
        **_CLINICAL,
        # R4 searches the series' modality only: a study without series is not found by it.
        "modality": Parameter(_token, ("series.modality",)),
        "started": Parameter(_date, ("started",)),
        "status": Parameter(_token, ("status",)),
    },
    "Condition": {
        **_CLINICAL,
        "clinical-status": Parameter(_token, ("clinicalStatus",)),
        "recorded-date": Parameter(_date, ("recordedDate",)),
    },
    "Procedure": {
        **_CLINICAL,
        "date": Parameter(_date, ("performedDateTime", "performedPeriod")),
        "status": Parameter(_token, ("status",)),
    },
    "ServiceRequest": {
        **_CLINICAL,
        "authored": Parameter(_date, ("authoredOn",)),
        "status": Parameter(_token, ("status",)),
        "intent": Parameter(_token, ("intent",)),
    },
    "MedicationRequest": {
        **_CLINICAL,
        "code": Parameter(_token, ("medicationCodeableConcept",)),
        "authoredon": Parameter(_date, ("authoredOn",)),
        "status": Parameter(_token, ("status",)),
        "intent": Parameter(_token, ("intent",)),
    },
    "AllergyIntolerance": _CLINICAL,
    "Observation": {
        **_CLINICAL,
        "category": Parameter(_token, ("category",)),
        "date": Parameter(_date, ("effectiveDateTime", "effectivePeriod")),
    },
    "RiskAssessment": {
        **_CLINICAL,
        "date": Parameter(_date, ("occurrenceDateTime", "occurrencePeriod")),
        "status": Parameter(_token, ("status",)),
    },
}
