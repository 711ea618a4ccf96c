"""FHIR Bundles and OperationOutcomes: what a search found, and whether it could look at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fhir_mappings.elements import Json, as_object, counted, objects, text
from fhir_mappings.errors import ResourceProblem

# Epic answers an empty search with an OperationOutcome entry of one of these: "nothing found", not an error.
_HARMLESS_SEVERITIES = frozenset({"information", "warning", "success"})
# R4 issue-type: that there may be more than was found, however mildly it is said.
_NOT_WHOLE = frozenset({"incomplete", "timeout", "throttled", "too-costly", "exception"})
_CODE = re.compile(r"[a-z][a-z\-]{0,40}")


@dataclass(frozen=True)
class Listing:
    """The resources of one type that a search gave, and what was wrong with its answer."""

    resources: tuple[Json, ...]
    problems: tuple[str, ...] = ()


def bundle_resources(bundle: object, resource_type: str, *, whole: bool = True) -> Listing:
    """The resources of one type in a Bundle or in a plain list of resources.

    It is a problem where those are not all that was found, unless it is not asked for the `whole` but for one page.
    Raises ResourceProblem where it cannot be known what the search found: not a Bundle, or nothing but errors in it.
    """
    members = _members(bundle)
    found = tuple(member for member in members if member.get("resourceType") == resource_type)
    error = _first_outcome_problem(members)
    if error and not found:
        raise ResourceProblem(error)
    problems = (error, _unreadable_part(members), _missing_part(bundle, members) if whole else None)
    return Listing(found, tuple(f"{resource_type} search: {problem}" for problem in problems if problem))


def bundle_entries(bundle: object) -> list[tuple[str, Json]]:
    """The (fullUrl, resource) pairs of a Bundle or list; an entry that cannot be read has an empty resource."""
    if isinstance(bundle, list):
        return [("", as_object(member)) for member in bundle]
    resource = as_object(bundle)
    if resource.get("resourceType") != "Bundle":
        raise ResourceProblem(outcome_problem(bundle) or "the search did not answer with a Bundle; ask the EHR for one")
    entries = resource.get("entry")
    if entries is not None and not isinstance(entries, list):
        raise ResourceProblem("the Bundle's entries are not a list, so it is not known what was found")
    found = [as_object(entry) for entry in entries or []]
    return [(text(entry.get("fullUrl")), as_object(entry.get("resource"))) for entry in found]


def next_link(bundle: object) -> str | None:
    """The address of a Bundle's next page; None where this is the last."""
    for link in objects(as_object(bundle).get("link")):
        if text(link.get("relation")) == "next" and text(link.get("url")):
            return text(link.get("url"))
    return None


def total_found(bundle: object) -> int:
    """How many resources a search found by its own count, on all its pages; 0 where it does not say."""
    total = as_object(bundle).get("total")
    return total if isinstance(total, int) and not isinstance(total, bool) else 0


def distinct(resources: Sequence[Json]) -> int:
    """How many different resources these are.

    Where something changes between two pages, one may be listed twice, and another one, which slid over, not at all.
    """
    named = [(text(one.get("resourceType")), text(one.get("id"))) for one in resources]
    return len({name for name in named if name[1]}) + sum(not name[1] for name in named)


def outcome_problem(resource: object) -> str | None:
    """The error that an OperationOutcome, or one among a Bundle's entries, reports; None where it reports none.

    An OperationOutcome in place of the data is always an error; as an entry only severities error and fatal are.
    Only its codes are repeated: its texts may name a patient.
    """
    outcome = as_object(resource)
    if outcome.get("resourceType") == "OperationOutcome":
        return _sentence(outcome)
    if outcome.get("resourceType") != "Bundle":
        return None
    entries = objects(outcome.get("entry"))
    return _first_outcome_problem([as_object(entry.get("resource")) for entry in entries])


def _first_outcome_problem(resources: list[Json]) -> str | None:
    outcomes = [resource for resource in resources if resource.get("resourceType") == "OperationOutcome"]
    return next((_sentence(outcome) for outcome in outcomes if not _is_harmless(outcome)), None)


def _is_harmless(outcome: Json) -> bool:
    return all(map(_is_mild, objects(outcome.get("issue"))))


def _is_mild(issue: Json) -> bool:
    return text(issue.get("severity")) in _HARMLESS_SEVERITIES and text(issue.get("code")) not in _NOT_WHOLE


def _sentence(outcome: Json) -> str:
    issues = objects(outcome.get("issue"))
    worst = next((issue for issue in issues if not _is_mild(issue)), None)
    issue = worst or (issues[0] if issues else {})
    words = [word for key in ("severity", "code") if _CODE.fullmatch(word := text(issue.get(key)))]
    return "the EHR answered with an error" + (f" ({', '.join(words)})" if words else "")


def _members(bundle: object) -> list[Json]:
    return [resource for _, resource in bundle_entries(bundle)]


def _unreadable_part(members: list[Json]) -> str | None:
    nameless = sum(not text(member.get("resourceType")) for member in members)
    return counted(nameless, "entry", "entries") + " could not be read" if nameless else None


def _missing_part(bundle: object, members: list[Json]) -> str | None:
    if next_link(bundle):
        return "further pages were not read, so it is not complete"
    total = total_found(bundle)
    held = distinct([member for member in members if member.get("resourceType") != "OperationOutcome"])
    if total > held:
        return f"it counts {counted(total, 'result', 'results')} but holds {held}, so it is not complete"
    return None
