"""What leaves for an EHR: built through the R4B models, plain JSON, and checked for what those models let pass."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any

from fhir.resources.R4B.fhirresourcemodel import FHIRResourceModel
from pydantic import ValidationError

from fhir_mappings.elements import Json, as_object, objects, text
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.references import is_resource_id, reference_parts

REMEMBERED = 1000
"""Resources of some 3 kB that need not be built anew: an EHR calls again and again while an order is put together."""


def plain_json(model: type[FHIRResourceModel], content: Json, **where_known: object) -> dict[str, Any]:
    """The content as it is, after validation by its R4B model; what R4 demands beyond that the caller checks.

    Of `where_known` the elements that hold something are added. Raises ResourceProblem naming the elements that are
    wrong, never their values.
    """
    resource = content | {element: value for element, value in where_known.items() if value}
    try:
        model.model_validate(resource)
    except ValidationError as error:
        where = sorted({".".join(str(step) for step in problem["loc"]) for problem in error.errors()})
        raise ResourceProblem(f"not a valid {model.get_resource_type()}: look at {', '.join(where)}") from None
    return resource


def check_plain(value: object, path: str = "resource") -> None:
    """Raises ResourceProblem for null, an empty string, list or object, or what is not JSON, anywhere within."""
    if value is None or (isinstance(value, str) and not value.strip()) or value in ([], {}):
        raise ResourceProblem(f"{path} is null or empty: leave the element out instead")
    if not isinstance(value, str | int | float | list | dict):
        raise ResourceProblem(f"{path} is no JSON value but a {type(value).__name__}")
    if isinstance(value, float) and not isfinite(value):
        raise ResourceProblem(f"{path} is not a finite number")
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in steps:
        check_plain(member, f"{path}.{step}")


def check_code(resource: Json, element: str, allowed: frozenset[str]) -> None:
    """Raises ResourceProblem where a code is not in its required value set."""
    if resource.get(element) not in allowed:
        raise ResourceProblem(f"{element} must be one of {', '.join(sorted(allowed))}, not {resource.get(element)!r}")


def check_references(resource: Json, element: str, allowed: frozenset[str]) -> None:
    """Raises ResourceProblem where an element refers to a type of resource that R4 does not allow there."""
    for reference in objects(resource.get(element)):
        target = _target_type(reference, resource)
        if target not in allowed:
            named = target or "nothing that can be recognised"
            raise ResourceProblem(f"{element} must refer to {' or '.join(sorted(allowed))}, not to {named}")


def check_contained(resource: Json) -> None:
    """Raises ResourceProblem where a contained resource is not referred to, or a reference leads nowhere (R4 dom-3)."""
    held = {f"#{text(contained.get('id'))}" for contained in objects(resource.get("contained"))}
    used = {reference for reference in _references(resource) if reference.startswith("#")}
    if held - used:
        raise ResourceProblem("a contained resource is referred to nowhere: refer to it or leave it out")
    if used - held:
        raise ResourceProblem("a reference to a contained resource leads nowhere: contain the resource")


def patient_reference(patient_id: str) -> Json:
    """The Reference to a patient; raises ResourceProblem for what is no legal id."""
    if not is_resource_id(patient_id):
        raise ResourceProblem("the patient's id is not a legal FHIR id")
    return {"reference": f"Patient/{patient_id}"}


def notes(note: str | None) -> list[Json]:
    """The `note` of a resource."""
    return [{"text": note}] if note else []


def reference_to(reference: str | None, *types: str) -> Json | None:
    """The Reference if it names one of these types of resource, else None."""
    parts = reference_parts(reference)
    return {"reference": text(reference)} if parts and parts[0] in types else None


def _target_type(reference: Json, resource: Json) -> str | None:
    written = text(reference.get("reference"))
    if written.startswith("#"):
        contained = (held for held in objects(resource.get("contained")) if f"#{held.get('id')}" == written)
        return text(next(contained, {}).get("resourceType")) or None
    parts = reference_parts(written)
    return parts[0] if parts else None


def _references(value: object) -> Iterable[str]:
    if isinstance(value, list):
        for member in value:
            yield from _references(member)
    for element, member in as_object(value).items():
        if element == "reference" and isinstance(member, str):
            yield member
        yield from _references(member)
