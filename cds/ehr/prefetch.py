"""Completing a hook's prefetch: what came with the call, what must still be fetched, what cannot be had."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cds.ehr.client import Ehr
from cds.errors import EhrError, EhrUnreachable, HookRequestError, UntrustedServer
from fhir_mappings.access_events import Read, ReadFrom
from fhir_mappings.bundles import next_link, outcome_problem
from fhir_mappings.chart import Unread
from fhir_mappings.elements import as_object, objects

_TOKEN = re.compile(r"\{\{\s*context\.(\w+)\s*\}\}")
# FHIR R4, datatype id, allows 64 characters; Epic sends longer ones. Dots alone would climb out of the server's path.
_PATIENT_ID = re.compile(r"(?!\.+$)[A-Za-z0-9\-.]{1,128}")


@dataclass(frozen=True)
class Completed:
    """What was read, by the keys of the templates, and where each query was answered."""

    values: dict[str, object | Unread]
    reads: tuple[Read, ...]


_Found = tuple[object | Unread, ReadFrom]


def complete(
    templates: Mapping[str, str],
    prefetch: Mapping[str, object],
    context: Mapping[str, object],
    ehr: Ehr | None,
    is_late: Callable[[], bool] = lambda: False,
) -> Completed:
    """A value for every template: a resource, a whole searchset Bundle, or Unread with the reason.

    CDS Hooks 2.0.1, section Prefetch Template: a key that is left out was not fetched, null means that the client has
    no such data, an OperationOutcome is the client's own failure, a Bundle with a next link is one page of several.
    Nothing more is fetched once it `is_late`. Raises HookRequestError if a template needs `context.patientId` and it
    is no FHIR id.
    """
    queries = {key: _filled(template, context) for key, template in templates.items()}
    source = _Source(ehr, is_late)
    found = {key: _value(query, prefetch, key, source) for key, query in queries.items()}
    reads = tuple(Read(templates[key], where) for key, (_, where) in found.items())
    return Completed({key: value for key, (value, _) in found.items()}, reads)


def _value(query: str | Unread, prefetch: Mapping[str, object], key: str, source: _Source) -> _Found:
    if isinstance(query, Unread):
        return query, ReadFrom.NOWHERE
    if key not in prefetch:
        return source.fetch(query, "it is not in the prefetch")
    value = prefetch[key]
    if value is None and _is_search(query):
        return {"resourceType": "Bundle", "type": "searchset"}, ReadFrom.PREFETCH
    flaw = _flaw(value, query)
    return (value, ReadFrom.PREFETCH) if flaw is None else source.fetch(query, flaw)


def _flaw(value: object, query: str) -> str | None:
    """Why a prefetched value cannot be taken for the answer to `query`; None if it can."""
    if value is None:
        return "the EHR says that it has no such resource"
    if not isinstance(value, dict):
        return "its prefetch is not a FHIR resource"
    failure = outcome_problem(value)
    if failure is not None:
        return failure
    if value.get("resourceType") != ("Bundle" if _is_search(query) else query.split("/")[0]):
        return "its prefetch is a resource of another type"
    return "its prefetch is only a part of the results" if _is_search(query) and _is_cut_short(value) else None


def _is_cut_short(bundle: dict[str, Any]) -> bool:
    """Whether the Bundle itself says that it is not the whole result, by a next link or a higher total."""
    modes = [as_object(entry.get("search")).get("mode", "match") for entry in objects(bundle.get("entry"))]
    total = bundle.get("total")
    return next_link(bundle) is not None or (isinstance(total, int) and total > modes.count("match"))


class _Source:
    """The EHR during one call; once it does not answer it is not asked again: a clinician waits."""

    def __init__(self, ehr: Ehr | None, is_late: Callable[[], bool]) -> None:
        self._ehr = ehr
        self._is_late = is_late
        self._gave_up: Unread | None = None

    def fetch(self, query: str, why: str) -> _Found:
        value = self._fetched(query, why)
        return value, ReadFrom.NOWHERE if isinstance(value, Unread) else ReadFrom.FHIR_SERVER

    def _fetched(self, query: str, why: str) -> object | Unread:
        if self._ehr is None:
            return Unread(f"{why}, and the call gave no access to fetch it")
        if self._gave_up is not None:
            return self._gave_up
        if self._is_late():
            return Unread("the EHR took too long over the other parts of the chart")
        try:
            return self._ehr.search(query) if _is_search(query) else self._ehr.read(query)
        except EhrUnreachable as error:
            self._gave_up = Unread(str(error))
            return self._gave_up
        except (EhrError, UntrustedServer) as error:
            return Unread(str(error))


def _is_search(query: str) -> bool:
    return "?" in query


def _filled(template: str, context: Mapping[str, object]) -> str | Unread:
    """The template with its tokens replaced, percent-encoded."""
    unknown: list[str] = []

    def replace(token: re.Match[str]) -> str:
        name = token.group(1)
        value = patient_id(context) if name == "patientId" else context.get(name)
        if not isinstance(value, str):
            unknown.append(name)
            return ""
        return quote(value, safe="", errors="replace")  # JSON can carry half a surrogate pair

    query = _TOKEN.sub(replace, template)
    if unknown or "{{" in query:
        return Unread("the call's context lacks what is needed to ask for it")
    return query


def patient_id(context: Mapping[str, object]) -> str:
    """The call's patient, as an id that is safe in an address; HookRequestError if it is none."""
    value = context.get("patientId")
    if not isinstance(value, str) or not _PATIENT_ID.fullmatch(value):
        raise HookRequestError("context.patientId must be a FHIR id: letters, digits, '-' and '.', at most 128 of them")
    return value
