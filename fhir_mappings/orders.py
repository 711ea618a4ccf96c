"""FHIR ServiceRequest to orders: is this screening mammography, is this breast MRI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, reduce
from operator import or_

from fhir_mappings.bundles import Listing, bundle_entries, bundle_resources
from fhir_mappings.code_sets import CodeSet, order_code_sets
from fhir_mappings.codes import Coding
from fhir_mappings.dates import PartialDate, parse_partial_date
from fhir_mappings.elements import Json, as_object, codings, text
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.histories import was_done
from fhir_mappings.references import is_resource_id, own_reference, reference_parts
from fhir_mappings.subjects import of_patient, subject_id

_WITHDRAWN = frozenset({"revoked", "entered-in-error"})
# What orders an examination in STU3 and DSTU2. Drugs have other names there, too, and are not ours to judge.
_BEFORE_R4 = frozenset({"ProcedureRequest", "ReferralRequest", "DiagnosticOrder", "DiagnosticRequest"})


@dataclass(frozen=True)
class Order:
    """One ServiceRequest, with only what decides anything here; `status` and `intent` are empty where not given."""

    resource: str | None
    codings: tuple[Coding, ...]
    status: str
    intent: str
    authored_on: PartialDate | None
    reasons: tuple[Coding, ...] = ()


@dataclass(frozen=True)
class Orders:
    """A patient's orders, and what was wrong with the list they came from."""

    orders: tuple[Order, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """An unsigned order of the present session; `reference` is how `selections` names it, empty where it cannot."""

    reference: str
    order: Order


@dataclass(frozen=True)
class OrderCodes:
    """Which codes of orders, and of their reasons, mean what at a site."""

    screening_mammography: CodeSet
    other_mammography: CodeSet
    unspecified_mammography: CodeSet
    screening_reasons: CodeSet
    breast_mri: CodeSet

    def adding(self, **own: Iterable[Coding]) -> OrderCodes:
        """These codes with a site's own beside them, by the names above."""
        return replace(self, **{name: getattr(self, name) | _set_of(codings_) for name, codings_ in own.items()})


def _set_of(own: Iterable[Coding]) -> CodeSet:
    return reduce(or_, (CodeSet.of(coding.system, [coding.code]) for coding in own), CodeSet())


@cache
def usual_order_codes() -> OrderCodes:
    """The codes that come with the program."""
    return OrderCodes(**{name.replace("-", "_"): codes for name, codes in order_code_sets().items()})


def read_orders(bundle_or_list: object, patient_id: str) -> Orders:
    """The patient's orders in a search Bundle or list of ServiceRequest, each once; withdrawn ones are no orders.

    Raises ResourceProblem where it cannot be known what there is.
    """
    listing = _service_requests(bundle_or_list)
    requests, left_out = of_patient(listing.resources, patient_id, "order", "orders")
    orders = dict.fromkeys(_order(request) for request in requests if _stands(request))
    return Orders(tuple(orders), listing.problems + left_out)


def done_orders(bundle_or_list: object, patient_id: str) -> tuple[Order, ...]:
    """The patient's procedures that were done, in the form of the orders they fulfilled, each dated by when it was.

    Raises ResourceProblem where it cannot be known what there is.
    """
    procedures = bundle_resources(bundle_or_list, "Procedure").resources
    hers, _ = of_patient(procedures, patient_id, "procedure", "procedures")
    return tuple(_done(procedure) for procedure in hers if was_done(procedure))


def draft_orders(context: Mapping[str, object]) -> tuple[Draft, ...]:
    """The service requests among order-select's `draftOrders`; drugs and other drafts are not ours to judge.

    A draft may lack its subject, but one that names another patient is left out. Raises ResourceProblem where
    `draftOrders` is no Bundle or its orders are older than R4.
    """
    patient_id = context.get("patientId")
    requests = _service_requests(context.get("draftOrders")).resources
    own = [request for request in requests if subject_id(request) in (None, patient_id)]
    return tuple(Draft(own_reference(request) or "", _order(request)) for request in own if _stands(request))


def selected(drafts: Iterable[Draft], context: Mapping[str, object]) -> tuple[Draft, ...]:
    """The drafts that order-select's `selections` name: as `ServiceRequest/id`, by absolute address or bare id."""
    selections = context.get("selections")
    chosen = {_selected_reference(selection) for selection in (selections if isinstance(selections, list) else [])}
    return tuple(draft for draft in drafts if draft.reference and draft.reference in chosen)


def _service_requests(bundle_or_list: object) -> Listing:
    # Older orders would pass for none at all: an MRI among them would be offered again.
    if any(text(resource.get("resourceType")) in _BEFORE_R4 for _, resource in bundle_entries(bundle_or_list)):
        raise ResourceProblem("orders of FHIR before R4, such as ProcedureRequest, are not read; send ServiceRequests")
    return bundle_resources(bundle_or_list, "ServiceRequest")


def _selected_reference(selection: object) -> str | None:
    if is_resource_id(selection):
        return f"ServiceRequest/{selection}"
    parts = reference_parts(selection)
    return "/".join(parts) if parts else None


def is_screening_mammography(order: Order, codes: OrderCodes) -> bool:
    """Whether an order is breast screening; a diagnostic code on the same order wins over a screening code.

    A code that says only "mammography" counts where the order's reason is screening.
    """
    if _has(order.codings, codes.other_mammography):
        return False
    if _has(order.codings, codes.screening_mammography):
        return True
    return _has(order.codings, codes.unspecified_mammography) and _has(order.reasons, codes.screening_reasons)


def is_other_mammography(order: Order, codes: OrderCodes) -> bool:
    """Whether an order is mammography that does not screen: diagnostic, or of one side."""
    return _has(order.codings, codes.other_mammography)


def is_breast_mri(order: Order, codes: OrderCodes) -> bool:
    """Whether an order is an MRI of the breast, of one side or both."""
    return _has(order.codings, codes.breast_mri)


def _has(codings_: Iterable[Coding], codes: CodeSet) -> bool:
    return codes.holds_any(coding.key for coding in codings_)


def _stands(request: Json) -> bool:
    """Not withdrawn, and not a prohibition (`doNotPerform`). An unknown status counts: unknown is never absent."""
    return text(request.get("status")) not in _WITHDRAWN and request.get("doNotPerform") is not True


def _done(procedure: Json) -> Order:
    period = as_object(procedure.get("performedPeriod"))
    performed = procedure.get("performedDateTime") or period.get("end") or period.get("start")
    return Order(
        own_reference(procedure), codings(procedure.get("code")), "completed", "", parse_partial_date(performed)
    )


def _order(request: Json) -> Order:
    return Order(
        resource=own_reference(request),
        codings=codings(request.get("code")),
        status=text(request.get("status")),
        intent=text(request.get("intent")),
        authored_on=parse_partial_date(request.get("authoredOn")),
        reasons=codings(request.get("reasonCode")) + codings(request.get("reason")),  # R4, R5
    )
