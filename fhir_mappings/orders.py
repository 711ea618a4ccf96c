"""FHIR ServiceRequest to orders: is this screening mammography, is this breast MRI."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, reduce
from operator import or_

from fhir_mappings.bundles import bundle_entries, bundle_resources
from fhir_mappings.code_sets import CodeSet, order_code_sets
from fhir_mappings.codes import Coding
from fhir_mappings.dates import PartialDate, parse_partial_date
from fhir_mappings.elements import Json, as_object, codings, counted, text
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.histories import was_done
from fhir_mappings.references import own_reference, reference_parts
from fhir_mappings.subjects import of_patient, subject_id

_WITHDRAWN = frozenset({"revoked", "entered-in-error"})
# What orders an examination in STU3 and DSTU2. Drugs have other names there, too, and are not ours to judge.
_BEFORE_R4 = frozenset({"ProcedureRequest", "ReferralRequest", "DiagnosticOrder", "DiagnosticRequest"})
_NOT_READ = "orders of FHIR before R4, such as ProcedureRequest, are not read; send ServiceRequests"
# What may hold orders, or name them, that stand nowhere else (R4, and R5's name of RequestGroup).
_GROUPS = frozenset({"Bundle", "CarePlan", "RequestGroup", "RequestOrchestration"})


@dataclass(frozen=True)
class Order:
    """One ServiceRequest, with only what decides anything here; `status` and `intent` are empty where not given.

    `dated` is the latest day it names: that it was written, or is to be done. `do_not_perform` makes it a decision
    against what it names.
    """

    resource: str | None
    codings: tuple[Coding, ...]
    status: str
    intent: str
    dated: PartialDate | None
    reasons: tuple[Coding, ...] = ()
    do_not_perform: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it still waits to be done: drafted, active or on hold, or of a status that is not known."""
        return self.status != "completed"


@dataclass(frozen=True)
class Orders:
    """What was ordered or done, as far as it could be looked up; each of `problems` says what could not.

    `before_r4` where there are orders of FHIR before R4, which are not read.
    """

    orders: tuple[Order, ...] = ()
    problems: tuple[str, ...] = ()
    before_r4: bool = False

    def __add__(self, other: Orders) -> Orders:
        problems = tuple(dict.fromkeys(self.problems + other.problems))
        return Orders(self.orders + other.orders, problems, self.before_r4 or other.before_r4)

    def only(self, are_wanted: Callable[[Order, OrderCodes], bool], codes: OrderCodes) -> Orders:
        """Those that are wanted; what could not be looked up may hold more of them."""
        return replace(self, orders=tuple(order for order in self.orders if are_wanted(order, codes)))


@dataclass(frozen=True)
class Draft:
    """An unsigned order of the present session; `names` are all by which `selections` may mean it."""

    names: frozenset[str]
    order: Order


@dataclass(frozen=True)
class Drafts:
    """The service requests among the drafts of the present session; each of `problems` says what was not read."""

    drafts: tuple[Draft, ...] = ()
    problems: tuple[str, ...] = ()


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

    Beside orders of FHIR before R4 nothing is read. Raises ResourceProblem where it cannot be known what there is.
    """
    if _holds_older(bundle_or_list):
        return Orders(problems=(_NOT_READ,), before_r4=True)
    listing = bundle_resources(bundle_or_list, "ServiceRequest")
    requests, left_out = of_patient(listing.resources, patient_id, "order", "orders")
    orders = dict.fromkeys(_order(request) for request in requests if _stands(request))
    return Orders(tuple(orders), listing.problems + left_out)


def done_orders(bundle_or_list: object, patient_id: str) -> Orders:
    """The patient's procedures that were done, in the form of the orders they fulfilled, each dated by when it was.

    Raises ResourceProblem where it cannot be known what there is.
    """
    listing = bundle_resources(bundle_or_list, "Procedure")
    hers, left_out = of_patient(listing.resources, patient_id, "procedure", "procedures")
    return Orders(tuple(_done(procedure) for procedure in hers if was_done(procedure)), listing.problems + left_out)


def draft_orders(context: Mapping[str, object]) -> Drafts:
    """The service requests among an order hook's `draftOrders`; drugs and other drafts are not ours to judge.

    A draft may lack its subject, but one that names another patient is left out. Groups of orders are not looked into.
    Raises ResourceProblem where `draftOrders` is no Bundle or its orders are older than R4.
    """
    bundle, patient_id = context.get("draftOrders"), context.get("patientId")
    # Older orders would pass for none at all: an MRI among them would be offered again.
    if _holds_older(bundle):
        raise ResourceProblem(_NOT_READ)
    problems = bundle_resources(bundle, "ServiceRequest").problems
    entries = bundle_entries(bundle)
    own = [
        (full_url, resource)
        for full_url, resource in entries
        if resource.get("resourceType") == "ServiceRequest" and subject_id(resource) in (None, patient_id)
    ]
    drafts = tuple(Draft(_names(url, request), _order(request)) for url, request in own if _stands(request))
    return Drafts(drafts, (*map(_of_drafts, problems), *_groups(resource for _, resource in entries)))


def _of_drafts(problem: str) -> str:
    return f"draft orders: {problem.removeprefix('ServiceRequest search: ')}"


def _groups(resources: Iterable[Json]) -> Iterator[str]:
    groups = sum(text(resource.get("resourceType")) in _GROUPS for resource in resources)
    if groups:
        yield f"draft orders: left out {counted(groups, 'group', 'groups')} of orders, unread"


def selected(drafts: Iterable[Draft], context: Mapping[str, object]) -> tuple[Draft, ...]:
    """The drafts that order-select's `selections` name: by type and id, absolute address, bare id or fullUrl."""
    chosen = frozenset().union(*map(_forms, _selections(context)))
    return tuple(draft for draft in drafts if draft.names & chosen)


def unmatched_selections(context: Mapping[str, object]) -> int:
    """How many of order-select's `selections` name nothing among `draftOrders`, of whatever type.

    Raises ResourceProblem where `draftOrders` is no Bundle.
    """
    named = frozenset().union(*(_names(*entry) for entry in bundle_entries(context.get("draftOrders"))))
    return sum(not _forms(selection) & named for selection in _selections(context))


def _selections(context: Mapping[str, object]) -> list[object]:
    selections = context.get("selections")
    return selections if isinstance(selections, list) else []


def _names(full_url: str, resource: Json) -> frozenset[str]:
    """Every name of a draft. Its id need not be one that FHIR allows: it is a draft's, and only compared."""
    own_id = text(resource.get("id"))
    own = {own_id, f"{text(resource.get('resourceType'))}/{own_id}"} if own_id else set()
    return _forms(full_url) | own


def _forms(reference: object) -> frozenset[str]:
    """A reference as it is written, and as type and id where it has them."""
    return frozenset({text(reference), "/".join(reference_parts(reference) or ())} - {""})


def _holds_older(bundle_or_list: object) -> bool:
    return any(text(resource.get("resourceType")) in _BEFORE_R4 for _, resource in bundle_entries(bundle_or_list))


def is_screening_mammography(order: Order, codes: OrderCodes) -> bool:
    """Whether an order is breast screening; a diagnostic code on the same order wins over a screening code.

    A code that says only "mammography" counts where the order's reason is screening.
    """
    if order.do_not_perform or _has(order.codings, codes.other_mammography):
        return False
    if _has(order.codings, codes.screening_mammography):
        return True
    return _has(order.codings, codes.unspecified_mammography) and _has(order.reasons, codes.screening_reasons)


def is_other_mammography(order: Order, codes: OrderCodes) -> bool:
    """Whether an order is mammography that does not screen: diagnostic, or of one side."""
    return not order.do_not_perform and _has(order.codings, codes.other_mammography)


def is_breast_mri(order: Order, codes: OrderCodes) -> bool:
    """Whether an order is about an MRI of the breast, of one side or both, be it that none is to be done."""
    return _has(order.codings, codes.breast_mri)


def _has(codings_: Iterable[Coding], codes: CodeSet) -> bool:
    return codes.holds_any(coding.key for coding in codings_)


def _stands(request: Json) -> bool:
    """Not withdrawn. An unknown status counts: unknown is never absent."""
    return text(request.get("status")) not in _WITHDRAWN


def _done(procedure: Json) -> Order:
    days = (*_days(procedure, "performed"), *_days(procedure, "occurrence"))  # R4, R5
    return Order(own_reference(procedure), codings(procedure.get("code")), "completed", "", _latest(days))


def _order(request: Json) -> Order:
    return Order(
        resource=own_reference(request),
        codings=codings(request.get("code")),
        status=text(request.get("status")),
        intent=text(request.get("intent")),
        dated=_latest((request.get("authoredOn"), *_days(request, "occurrence"))),
        reasons=codings(request.get("reasonCode")) + codings(request.get("reason")),  # R4, R5
        do_not_perform=request.get("doNotPerform") is True,
    )


def _days(resource: Json, element: str) -> Iterator[object]:
    """The days that an element which may be a dateTime, Period or Timing names, such as `occurrence[x]`."""
    timing = as_object(resource.get(f"{element}Timing"))
    events = timing.get("event")
    yield resource.get(f"{element}DateTime")
    yield from events if isinstance(events, list) else ()
    for period in (resource.get(f"{element}Period"), as_object(timing.get("repeat")).get("boundsPeriod")):
        yield from (as_object(period).get("start"), as_object(period).get("end"))


def _latest(days: Iterable[object]) -> PartialDate | None:
    """The latest of several days; where they are not exact, the earliest and the latest that it may be."""
    known = [day for written in days if (day := parse_partial_date(written))]
    return PartialDate(max(day.earliest for day in known), max(day.latest for day in known)) if known else None
