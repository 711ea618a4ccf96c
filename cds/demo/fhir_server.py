"""The embedded hospital's EHR: a small R4 FHIR endpoint that demands a bearer token."""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, Flask, Response, abort, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import PreconditionFailed as Http412

from cds.demo.fhir_search import PARAMETERS, search, understood
from cds.demo.fhir_store import PreconditionFailed, ResourceStore
from fhir_mappings.references import reference_id

Json = dict[str, Any]
DEFAULT_COUNT = 50
MAX_COUNT = 500
_ISSUES = {
    401: "login",
    404: "not-found",
    405: "not-supported",
    410: "deleted",
    412: "conflict",
    422: "processing",
    500: "exception",
}

fhir = Blueprint("fhir", __name__)


def fhir_app(store: ResourceStore, tokens: Collection[str]) -> Flask:
    """The WSGI app; `tokens` are the bearer tokens that it accepts, for everything but `metadata`."""
    app = Flask(__name__)
    app.extensions["store"] = store
    app.extensions["tokens"] = tuple(tokens)
    app.before_request(_demand_token)
    app.register_error_handler(HTTPException, _outcome)
    app.register_error_handler(PreconditionFailed, lambda failed: _outcome(Http412(str(failed))))
    app.register_blueprint(fhir)
    return app


@fhir.get("/metadata")
def capabilities() -> Response:
    """What this server can do."""
    resources = [
        {
            "type": resource_type,
            "interaction": [{"code": code} for code in ("read", "create", "update", "search-type")],
            "searchParam": [{"name": name, "type": "string"} for name in parameters],
        }
        for resource_type, parameters in PARAMETERS.items()
    ]
    statement = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-01-01",
        "kind": "instance",
        "implementation": {"description": "MammoTrend's embedded hospital", "url": _base()},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [{"mode": "server", "resource": resources}],
    }
    return _answer(statement)


@fhir.get("/<resource_type>/<resource_id>")
def read(resource_type: str, resource_id: str) -> Response:
    """One resource."""
    _known(resource_type)
    resource = _store().read(resource_type, resource_id)
    if resource is None:
        abort(404, f"there is no {resource_type} with this id")
    return _answer(resource)


@fhir.get("/<resource_type>")
@fhir.post("/<resource_type>/_search")
def find(resource_type: str) -> Response:
    """One page of a search; parameters that are not known are ignored and left out of the self link."""
    _known(resource_type)
    asked = [*request.args.items(multi=True), *request.form.items(multi=True)]
    query = understood(resource_type, asked)
    found = search(_store().all(resource_type), resource_type, query)
    return _answer(_page(resource_type, query, found))


@fhir.post("/<resource_type>")
def create(resource_type: str) -> tuple[Response, int]:
    """Store a new resource under a new id, unless the query in If-None-Exist finds one (R4, Conditional create)."""
    resource, condition = _body(resource_type), request.headers.get("If-None-Exist")
    _demand_subject(resource)
    if condition is None:
        return _answer(_store().create(resource)), 201
    asked = parse_qsl(condition)
    if not asked or understood(resource_type, asked) != asked:
        abort(400, "If-None-Exist must be a query of search parameters that this server knows")
    stored, is_new = _store().create_unless(resource, lambda held: search(held, resource_type, asked))
    return _answer(stored), 201 if is_new else 200


@fhir.put("/<resource_type>/<resource_id>")
def update(resource_type: str, resource_id: str) -> tuple[Response, int]:
    """Store a resource under the id in the address, new or again; If-Match names the version that it replaces."""
    resource = _body(resource_type)
    if resource.get("id") != resource_id:
        abort(400, "the resource's id must be the one in the address")
    expected = request.headers.get("If-Match")
    stored, is_new = _store().put(resource, expected and expected.removeprefix("W/").strip('"'))
    return _answer(stored), 201 if is_new else 200


def _page(resource_type: str, query: Sequence[tuple[str, str]], found: Sequence[Json]) -> Json:
    count, offset = _number(query, "_count", DEFAULT_COUNT), _number(query, "_offset", 0)
    count = min(count, MAX_COUNT)
    shown = found[offset : offset + count]
    links = [{"relation": "self", "url": _search_url(resource_type, query)}]
    if shown and offset + count < len(found):
        rest = [(name, value) for name, value in query if name != "_offset"]
        following = [*rest, ("_offset", str(offset + count))]
        links.append({"relation": "next", "url": _search_url(resource_type, following)})
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(found), "link": links}
    # FHIR JSON has no empty arrays (R4, JSON representation): nothing found is a Bundle without entries.
    return bundle | ({"entry": [_entry(resource) for resource in shown]} if shown else {})


def _entry(resource: Json) -> Json:
    return {"fullUrl": _address(resource), "resource": resource, "search": {"mode": "match"}}


def _number(query: Sequence[tuple[str, str]], name: str, default: int) -> int:
    value = next((value for key, value in query if key == name), str(default))
    if not value.isdecimal():
        abort(400, f"{name} must be a whole number")
    return int(value)


def _search_url(resource_type: str, query: Sequence[tuple[str, str]]) -> str:
    return f"{_base()}/{resource_type}" + (f"?{urlencode(query)}" if query else "")


def _address(resource: Json) -> str:
    return f"{_base()}/{resource['resourceType']}/{resource['id']}"


def _base() -> str:
    return request.root_url.rstrip("/")


def _store() -> ResourceStore:
    store: ResourceStore = current_app.extensions["store"]
    return store


def _known(resource_type: str) -> None:
    if resource_type not in PARAMETERS:
        abort(404, f"this server keeps no {resource_type[:64]!r}")


def _body(resource_type: str) -> Json:
    _known(resource_type)
    try:
        resource = json.loads(request.get_data())
    except (ValueError, RecursionError):
        abort(400, "the body is not JSON")
    if not isinstance(resource, dict) or resource.get("resourceType") != resource_type:
        abort(400, f"the body must be a {resource_type}")
    return resource


def _demand_subject(resource: Json) -> None:
    """What is about a patient must name one on record: else it would be in nobody's chart."""
    named = {"subject", "patient"} & PARAMETERS[resource["resourceType"]].keys()
    if not named:
        return
    patient_id = next(filter(None, (reference_id(resource.get(element), "Patient") for element in named)), None)
    if patient_id is None or _store().read("Patient", patient_id) is None:
        abort(422, "the subject must be a Patient of this server")


def _demand_token() -> None:
    if request.path == "/metadata":
        return
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    accepted = current_app.extensions["tokens"]
    # Compared as bytes: hmac refuses text that is not ASCII.
    if scheme.lower() != "bearer" or not any(hmac.compare_digest(token.encode(), one.encode()) for one in accepted):
        abort(401, "a bearer token that this server gave out is needed")


def _answer(resource: Json) -> Response:
    response = Response(json.dumps(resource), content_type="application/fhir+json; charset=utf-8")
    version = resource.get("meta", {}).get("versionId")
    if version is not None:
        response.headers["ETag"] = f'W/"{version}"'
        response.headers["Location"] = f"{_address(resource)}/_history/{version}"
    return response


def _outcome(error: HTTPException) -> Response:
    status = error.code or 500
    issue = {"severity": "error", "code": _ISSUES.get(status, "invalid"), "diagnostics": error.description or ""}
    response = _answer({"resourceType": "OperationOutcome", "issue": [issue]})
    response.status_code = status
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
