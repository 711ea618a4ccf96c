"""What the EHR stored: the resource that it answers with, or else the id and version in its headers."""

from __future__ import annotations

import re
from typing import Any

import requests

from cds.ehr.exchange import parsed_resource
from cds.errors import EhrAnswerBroken
from fhir_mappings.elements import Json, as_object
from fhir_mappings.references import is_resource_id, own_reference, reference_id

_ETAG = re.compile(r'(?:W/)?"([^"]*)"')


def stored_resource(response: requests.Response, kind: str, server: str, resource_id: str | None = None) -> Json:
    """The resource of this kind that a write left, with `id`; `meta.versionId` and the rest where the EHR tells them.

    R4, section "create": the body is optional, the Location header is not. `resource_id` is the id in the address of an
    update. Raises EhrAnswerBroken where the answer does not tell which resource it is, or tells of another one.
    """
    body = parsed_resource(response, server) if response.content.strip() else {}
    # Asked for the resource itself, some answer with an OperationOutcome all the same.
    is_resource = body.get("resourceType") not in (None, "OperationOutcome")
    stored = body if is_resource else _of_headers(response, kind, resource_id)
    is_another = resource_id is not None and stored.get("id") != resource_id
    if stored["resourceType"] != kind or own_reference(stored) is None or is_another:
        raise EhrAnswerBroken(f"the EHR at {server} does not tell which {kind} it has written; look at the chart")
    return stored


def _of_headers(response: requests.Response, kind: str, resource_id: str | None) -> Json:
    located = reference_id(response.headers.get("Location", ""), kind) or resource_id
    tag = _ETAG.fullmatch(response.headers.get("ETag", ""))
    return {"resourceType": kind, "id": located, **({"meta": {"versionId": tag[1]}} if tag else {})}


def version_of(resource: Json) -> str | None:
    """The version of a stored resource; None where the EHR keeps none, or none that a header can carry."""
    version: Any = as_object(resource.get("meta")).get("versionId")
    return version if is_resource_id(version) else None
