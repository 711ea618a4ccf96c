"""References and identifiers: Patient/123, study instance UIDs, accession numbers."""

from __future__ import annotations

import re

from fhir_mappings.codes import ACCESSION_NUMBER, DICOM_UID, URI, Coding
from fhir_mappings.elements import Json, as_object, codes_of, codings, objects, text

# FHIR R4 `id` allows 64 characters; Epic's are longer.
_ID = r"[A-Za-z0-9\-.]{1,128}"
_REFERENCE = re.compile(rf"(?:https?://[^\s?#]+/)?([A-Za-z]+)/({_ID})(?:/_history/{_ID})?")
# DICOM PS3.5 section 9.1: numbers joined by dots, at most 64 characters. It forbids leading zeros, but archives hold
# studies that have them.
_UID = re.compile(r"[0-2](?:\.[0-9]+)+")
_ACCESSION = Coding(*ACCESSION_NUMBER)
_LONGEST_REFERENCE = 2048
# DICOM's SH has 16 characters (PS3.5 section 6.2), some archives keep more; a database indexes no long one.
_LONGEST_ACCESSION_NUMBER = 64
_OID_PREFIX = "urn:oid:"
# In QIDO-RS `*` and `?` are wildcards (PS3.18 section 8.3.4), and `\` separates values (PS3.5 section 6.2).
_NOT_IN_AN_ACCESSION_NUMBER = re.compile(r"[*?\\\x00-\x1f\x7f]")


def is_resource_id(value: object) -> bool:
    """Whether a value is a legal resource id (R4 `id`, with room for the longer ones of some EHRs)."""
    return isinstance(value, str) and re.fullmatch(_ID, value) is not None


def reference_parts(reference: object) -> tuple[str, str] | None:
    """The (type, id) a Reference or reference string names, relative or absolute; None for urn:uuid, contained, junk.

    The server of an absolute reference is not compared: the resource that holds it came from the patient's own EHR.
    """
    written = text(as_object(reference).get("reference")) or text(reference)
    found = _REFERENCE.fullmatch(written) if len(written) <= _LONGEST_REFERENCE else None
    return (found[1], found[2]) if found else None


def reference_id(reference: object, resource_type: str) -> str | None:
    """The id that a reference gives for this type of resource; None where it names something else or nothing."""
    parts = reference_parts(reference)
    return parts[1] if parts and parts[0] == resource_type else None


def own_reference(resource: Json) -> str | None:
    """`Type/id` of a resource itself; None where it has no legal id."""
    resource_type, resource_id = text(resource.get("resourceType")), resource.get("id")
    return f"{resource_type}/{resource_id}" if resource_type and is_resource_id(resource_id) else None


def is_dicom_uid(value: str) -> bool:
    """Whether a string is a DICOM unique identifier (PS3.5 section 9.1), with or without leading zeros."""
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def study_uid(resource: object) -> str | None:
    """The study instance UID among a study's identifiers; None where there is none or it is ambiguous.

    The system `urn:dicom:uid` is the one R4 asks for and decides alone, as does `uid` before R4; only without it are an
    OID in `urn:ietf:rfc:3986` and an identifier without a system taken for it. Two different ones are never chosen
    from; one that is marked as old is none.
    """
    study = as_object(resource)
    before_r4 = {"system": DICOM_UID, "value": study.get("uid")}
    identifiers = [*_current_identifiers(study), before_r4]
    for system in (DICOM_UID, URI, ""):
        found = {uid for identifier in identifiers if (uid := _uid_in(identifier, system))}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _uid_in(identifier: Json, system: str) -> str | None:
    if text(identifier.get("system")) != system or _is_accession(identifier):
        return None
    value = text(identifier.get("value"))
    if system == URI and not value.startswith(_OID_PREFIX):
        return None
    uid = value.removeprefix(_OID_PREFIX)
    return uid if is_dicom_uid(uid) else None


def accession_number(resource: object) -> str | None:
    """The accession number among a study's identifiers (type ACSN); None where there is none or several differ.

    Before R4 it stands in `accession`. One with a wildcard or control character is not taken: as a query it would match
    other patients' studies; nor is one that is marked as old, or longer than any archive would have it.
    """
    study = as_object(resource)
    marked = [identifier for identifier in _current_identifiers(study) if _is_accession(identifier)]
    values = {text(identifier.get("value")) for identifier in (*marked, as_object(study.get("accession")))}
    usable = {value for value in values if value and not _NOT_IN_AN_ACCESSION_NUMBER.search(value)}
    only = usable.pop() if len(usable) == 1 else None
    return only if only is None or len(only) <= _LONGEST_ACCESSION_NUMBER else None


def _current_identifiers(study: Json) -> list[Json]:
    """Without those that are no longer valid (R4 identifier-use `old`)."""
    return [one for one in objects(study.get("identifier")) if text(one.get("use")) != "old"]


def _is_accession(identifier: Json) -> bool:
    kinds = codings(identifier.get("type"))
    if kinds:
        return _ACCESSION.key in {kind.key for kind in kinds}
    return _ACCESSION.code in codes_of(identifier.get("type"))
