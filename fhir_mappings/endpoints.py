"""FHIR Endpoint to the root of the DICOMweb server that holds a study's images."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_mappings.bundles import bundle_entries
from fhir_mappings.codes import DICOM_WADO_RS, ENDPOINT_CONNECTION_TYPE
from fhir_mappings.elements import Json, codes_of, codings, objects, text
from fhir_mappings.references import own_reference, reference_id, reference_parts


def endpoints_by_reference(bundle: object) -> dict[str, Json]:
    """The Endpoints that came in a Bundle or list, under each reference by which a study may name them."""
    known: dict[str, Json] = {}
    for full_url, resource in bundle_entries(bundle):
        if resource.get("resourceType") == "Endpoint":
            names = (full_url, own_reference(resource))
            known.update((name, resource) for name in names if name)
    return known


def dicomweb_root(element: Json, study: Json, known: Mapping[str, Json]) -> str | None:
    """The first usable DICOMweb root among the endpoints of a study or series; None where it names none.

    Endpoints are contained in the study or came with it; only active ones of type dicom-wado-rs are used.
    """
    references = objects(element.get("endpoint"))
    if not references:
        return None
    contained = {f"#{text(resource.get('id'))}": resource for resource in objects(study.get("contained"))}
    for reference in references:
        root = _root(_resolve(reference, {**known, **contained}))
        if root:
            return root
    return None


def _resolve(reference: Json, known: Mapping[str, Json]) -> Json:
    written = text(reference.get("reference"))
    parts = reference_parts(reference)
    return known.get(written) or (known.get("/".join(parts)) if parts else None) or {}


def _root(endpoint: Json) -> str | None:
    if endpoint.get("resourceType") != "Endpoint" or text(endpoint.get("status")) not in ("active", ""):
        return None
    connection = endpoint.get("connectionType")
    is_wado = (ENDPOINT_CONNECTION_TYPE, DICOM_WADO_RS) in {coding.key for coding in codings(connection)}
    if not is_wado and (codings(connection) or DICOM_WADO_RS not in codes_of(connection)):
        return None
    address = text(endpoint.get("address")).rstrip("/")
    return address if address.startswith(("https://", "http://")) else None


def endpoint_references(bundle: object) -> tuple[str, ...]:
    """The Endpoints, as `Endpoint/123`, that resources of a Bundle refer to and that it does not hold itself."""
    known, studies = endpoints_by_reference(bundle), [resource for _, resource in bundle_entries(bundle)]
    parts = [part for study in studies for part in (study, *objects(study.get("series")))]
    written = [reference_id(reference, "Endpoint") for part in parts for reference in objects(part.get("endpoint"))]
    wanted = dict.fromkeys(f"Endpoint/{endpoint_id}" for endpoint_id in written if endpoint_id)
    return tuple(reference for reference in wanted if reference not in known)
