"""Entries of the audit trail as FHIR AuditEvents, after IHE's Basic Audit Log Patterns (BALP 1.1)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir.resources.R4B.auditevent import AuditEvent

from fhir_mappings.access_events import AccessEvent, AccessOutcome, Action, ReadFrom
from fhir_mappings.audit_codes import (
    APPLICATION,
    APPLICATION_SERVER,
    AUDIT_ACTION,
    AUDIT_CALL,
    AUDIT_ENTRY,
    CLIENT,
    DOMAIN_RESOURCE_ROLE,
    IMAGING_STUDY,
    INSTANCES_ACCESSED,
    INSTANCES_TRANSFERRED,
    IP_ADDRESS,
    NETWORK_URI,
    NODE_AUTHENTICATION,
    OPERATION,
    PATIENT_QUERY_PROFILE,
    PATIENT_RECORD,
    PATIENT_ROLE,
    PERSON,
    QUERY_ROLE,
    RESTFUL,
    SEARCH,
    SECURITY_ALERT,
    SERVER,
    SYSTEM_OBJECT,
    UPDATE,
    USER,
)
from fhir_mappings.codes import DICOM_UID, Coding
from fhir_mappings.dates import instant
from fhir_mappings.elements import Json, as_object, objects
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.outgoing import (
    check_code,
    check_plain,
    check_references,
    patient_reference,
    plain_json,
    reference_to,
)

# FHIR R4 AuditEvent: the required value sets, and who may be an agent.
_ACTIONS = frozenset("CRUDE")
_OUTCOMES = frozenset({"0", "4", "8", "12"})
_AGENTS = ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson", "Device", "Organization")
_OUTCOME_CODES = {AccessOutcome.SUCCESS: "0", AccessOutcome.REFUSED: "8", AccessOutcome.FAILED: "8"}
_SOURCES = {
    ReadFrom.PREFETCH: "came with the call",
    ReadFrom.FHIR_SERVER: "read from the EHR's FHIR server",
    ReadFrom.NOWHERE: "could not be had",
}
_PATIENT_TOKEN = "{{context.patientId}}"  # noqa: S105 # no secret: the token of a prefetch template


@dataclass(frozen=True)
class AuditSource:
    """The service that keeps the trail: how it is called, and under which address EHRs reach it, if the site says."""

    name: str
    url: str | None = None


@dataclass(frozen=True)
class ChainLink:
    """Where an entry stands in the trail. `digest` is the SHA-256, in hex, of `written` in ASCII."""

    number: int
    digest: str
    written: str


@dataclass(frozen=True)
class _Kind:
    """What R4 calls an action: its type, the letter of what is done to the data, and what kind of it."""

    type: Coding
    action: str
    subtypes: tuple[Coding, ...] = ()


_KINDS: Mapping[Action, _Kind] = {
    Action.SCORED: _Kind(INSTANCES_ACCESSED, "R"),
    Action.REFUSED: _Kind(INSTANCES_ACCESSED, "R"),
    Action.MOVED: _Kind(PATIENT_RECORD, "U"),
    Action.UNLISTED: _Kind(PATIENT_RECORD, "U"),
    Action.ASSESSED: _Kind(PATIENT_RECORD, "C"),
    Action.RETRACTED: _Kind(PATIENT_RECORD, "U"),
    # Whether the EHR made a new resource of it or wrote over one of ours is not in the trail.
    Action.WRITTEN: _Kind(RESTFUL, "U", (UPDATE,)),
    Action.REPORTED: _Kind(INSTANCES_TRANSFERRED, "C"),
    Action.ANSWERED: _Kind(RESTFUL, "E", (SEARCH,)),
    Action.FEEDBACK: _Kind(RESTFUL, "E", (OPERATION,)),
    Action.SEEN: _Kind(PATIENT_RECORD, "R"),
    Action.CALLER_REFUSED: _Kind(SECURITY_ALERT, "E", (NODE_AUTHENTICATION,)),
    Action.CLEARED: _Kind(PATIENT_RECORD, "D"),
}


def audit_event(event: AccessEvent, link: ChainLink, source: AuditSource) -> dict[str, Any]:
    """A valid R4 AuditEvent of one entry, as plain JSON.

    It claims BALP's PatientQuery only where all that the profile requires is known. Raises ResourceProblem for what
    cannot be written, and ValueError for a moment without a time zone.
    """
    kind = _KINDS[event.action]
    content: Json = {
        "resourceType": "AuditEvent",
        "extension": [_entry(link)],
        "type": _coding(kind.type),
        "subtype": [*map(_coding, kind.subtypes), _own(event.action)],
        "action": kind.action,
        "recorded": instant(event.at),
        "outcome": _OUTCOME_CODES[event.outcome],
        "agent": _agents(event, source),
        "source": {"observer": _named(source.name), "type": [_coding(APPLICATION_SERVER)]},
    }
    meta = {"profile": [PATIENT_QUERY_PROFILE]} if _is_patient_query(event, source) else None
    written = plain_json(AuditEvent, content, meta=meta, outcomeDesc=event.detail, entity=_entities(event))
    check_audit_event(written)
    return written


def check_audit_event(resource: object) -> None:
    """Raises ResourceProblem for what the R4B models accept and R4 forbids."""
    audited = as_object(resource)
    if audited.get("resourceType") != "AuditEvent":
        raise ResourceProblem("not an AuditEvent")
    check_plain(audited)
    check_code(audited, "action", _ACTIONS)
    check_code(audited, "outcome", _OUTCOMES)
    if sum(agent.get("requestor") is True for agent in objects(audited.get("agent"))) > 1:
        raise ResourceProblem("only one agent can have begun it")
    for entity in objects(audited.get("entity")):
        if "name" in entity and "query" in entity:
            raise ResourceProblem("an entity has a name or a query, not both (sev-1)")
        if as_object(entity.get("what")).get("reference"):
            check_references(entity, "what", frozenset({"Patient"}))


def _is_patient_query(event: AccessEvent, source: AuditSource) -> bool:
    call = event.call
    is_whole = call is not None and call.address and call.reads and source.url and event.patient_id
    return event.action is Action.ANSWERED and event.outcome is AccessOutcome.SUCCESS and bool(is_whole)


def _agents(event: AccessEvent, source: AuditSource) -> list[Json]:
    """The EHR asks this service for a user; what no call asked for, the service does by itself."""
    if event.call is None:
        return [{"type": _concept(APPLICATION), "who": _named(source.name), "requestor": True}]
    server = {"type": _concept(SERVER), "who": _named(source.name), "requestor": False}
    client = {"type": _concept(CLIENT), "who": _named(event.ehr or "unknown"), "requestor": False}
    return [
        client | _network(event.call.address, IP_ADDRESS),
        server | _network(source.url, NETWORK_URI),
        *([_user(event.user_id)] if event.user_id else []),
    ]


def _network(address: str | None, kind: str) -> Json:
    return {"network": {"address": address, "type": kind}} if address else {}


def _user(user_id: str) -> Json:
    """Some EHRs name users by what is no reference."""
    who = reference_to(user_id, *_AGENTS) or {"identifier": {"value": user_id}}
    return {"type": _concept(USER), "who": who, "requestor": True}


def _entities(event: AccessEvent) -> list[Json]:
    return [*_patient(event), *_study(event), *_query(event), *_call(event)]


def _patient(event: AccessEvent) -> list[Json]:
    if event.patient_id is None:
        return []
    return [{"what": patient_reference(event.patient_id), "type": _coding(PERSON), "role": _coding(PATIENT_ROLE)}]


def _study(event: AccessEvent) -> list[Json]:
    if event.study_uid is None:
        return []
    identifier = {"system": DICOM_UID, "value": f"urn:oid:{event.study_uid}"}
    what = {"type": "ImagingStudy", "identifier": identifier}
    # No "System Object": a BALP query has room for one of those, and it is the query.
    return [{"what": what, "type": _coding(IMAGING_STUDY), "role": _coding(DOMAIN_RESOURCE_ROLE)}]


def _query(event: AccessEvent) -> list[Json]:
    """All queries of a call in one entity, a line each: BALP has room for one."""
    if event.call is None or not event.call.reads:
        return []
    asked = [read.template.replace(_PATIENT_TOKEN, event.patient_id or "") for read in event.call.reads]
    told = [f"{read.template}: {_SOURCES[read.source]}" for read in event.call.reads]
    query = b64encode("\n".join(asked).encode()).decode()
    kind = {"type": _coding(SYSTEM_OBJECT), "role": _coding(QUERY_ROLE)}
    return [{**kind, "query": query, "description": "\n".join(told)}]


def _call(event: AccessEvent) -> list[Json]:
    """The call itself, under a type of our own: BALP leaves room for further entities."""
    if event.call is None:
        return []
    call = event.call
    cards = None if call.cards is None else str(call.cards)
    details = {"service": call.service, "mode": call.mode, "cards": cards}
    detail = [{"type": name, "valueString": value} for name, value in details.items() if value]
    what = {"what": {"identifier": {"value": call.hook_instance}}} if call.hook_instance else {}
    return [{"type": {"system": AUDIT_CALL, "code": "hook-call"}, "detail": detail} | what]


def _entry(link: ChainLink) -> Json:
    return {
        "url": AUDIT_ENTRY,
        "extension": [
            {"url": "number", "valuePositiveInt": link.number},
            {"url": "digest", "valueString": link.digest},
            {"url": "written", "valueString": link.written},
        ],
    }


def _own(action: Action) -> Json:
    return {"system": AUDIT_ACTION, "code": action.value}


def _named(name: str) -> Json:
    return {"display": name}


def _concept(coding: Coding) -> Json:
    return {"coding": [_coding(coding)]}


def _coding(coding: Coding) -> Json:
    return {"system": coding.system, "code": coding.code, "display": coding.display}
