"""What a clinician does at the embedded EHR: open a chart, order, heed or override a card, sign."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from threading import RLock
from typing import Any
from urllib.parse import urlencode

from cds.demo.ehr_page.chart import identifiers
from cds.demo.ehr_page.decision_support import Adviser
from cds.demo.ehr_page.orders import ORDER_TYPES, Orderable
from cds.demo.ehr_page.visit import Decision, Visit
from cds.demo.resources import collection
from cds.ehr.client import WritableEhr
from fhir_mappings.bundles import bundle_entries
from fhir_mappings.dates import instant
from fhir_mappings.elements import objects

Json = dict[str, Any]


class Desk:
    """The clinician's desk: her open charts. Orders live in the chart from the start, as drafts until they are signed.

    Everything may raise EhrError; then nothing was reported to the service.
    """

    def __init__(
        self, ehr: WritableEhr, adviser: Adviser, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ehr = ehr
        self._adviser = adviser
        self._now = now
        self._visits: dict[str, Visit] = {}
        self._lock = RLock()

    def open_chart(self, patient_id: str) -> Visit:
        """The patient's visit; a chart that was closed fires patient-view."""
        with self._lock:
            visit = self._visits.setdefault(patient_id, Visit(patient_id))
        with visit.lock:
            if not visit.consultations:
                self._ask(visit, "patient-view", {}, "Chart opened")
        return visit

    def close_chart(self, patient_id: str) -> None:
        """End the visit; what was signed or drafted stays in the chart."""
        with self._lock:
            self._visits.pop(patient_id, None)

    def select(self, visit: Visit, orderable: Orderable) -> None:
        """Draft an order; this fires order-select."""
        with visit.lock:
            drafted = self._create(orderable.draft(visit.patient_id))
            context = {
                "selections": [f"{drafted['resourceType']}/{drafted['id']}"],
                "draftOrders": collection(self.drafts(visit.patient_id)),
            }
            self._ask(visit, "order-select", context, f"{orderable.name} selected")

    def remove(self, visit: Visit, resource_type: str, order_id: str) -> None:
        """Withdraw a draft."""
        with visit.lock:
            for draft in self.drafts(visit.patient_id):
                if (draft["resourceType"], draft["id"]) == (resource_type, order_id):
                    self._ehr.update(draft | {"status": "entered-in-error"})

    def sign(self, visit: Visit, seen: str | None) -> None:
        """Sign all drafts; this fires order-sign first, and its cards must have been `seen` (the call's id)."""
        with visit.lock:
            drafts = self.drafts(visit.patient_id)
            if not drafts:
                return
            if not self._has_seen(visit, seen):
                self._ask(visit, "order-sign", {"draftOrders": collection(drafts)}, "Orders about to be signed")
                if visit.latest and visit.latest.cards:
                    return
            for draft in drafts:
                self._ehr.update(draft | {"status": "active", "authoredOn": instant(self._now())})
            visit.signed = len(drafts)

    def accept(self, visit: Visit, card_id: str, suggestion_id: str) -> None:
        """Do what a suggestion says and tell the service; a second click changes nothing."""
        with visit.lock:
            suggestion = visit.suggestion(card_id, suggestion_id)
            if suggestion is None or not visit.is_open(card_id, suggestion_id):
                return
            for action in objects(suggestion["actions"]):  # this program's services only create
                self._create(action["resource"])
            visit.signed = 0
            accepted = {"outcome": "accepted", "acceptedSuggestions": [{"id": suggestion_id}]}
            self._decide(visit, card_id, accepted, str(suggestion["label"]), suggestion_id)

    def override(self, visit: Visit, card_id: str, reason_code: str, comment: str) -> None:
        """Put a card aside, with one of its reasons and a comment where given, and tell the service."""
        with visit.lock:
            card = visit.card(card_id)
            if card is None or not visit.is_open(card_id):
                return
            reasons = objects(card.get("overrideReasons", []))
            reason = next((one for one in reasons if one["code"] == reason_code), None)
            why = {
                **({"reason": {"code": reason["code"], "system": reason["system"]}} if reason else {}),
                **({"userComment": comment} if comment else {}),
            }
            words = reason["display"] if reason else "no reason given"
            overridden = {"outcome": "overridden", **({"overrideReason": why} if why else {})}
            self._decide(visit, card_id, overridden, words, comment=comment)

    def drafts(self, patient_id: str) -> list[Json]:
        """The patient's unsigned orders."""
        queries = (f"{kind}?{urlencode({'patient': patient_id, 'status': 'draft'})}" for kind in ORDER_TYPES)
        return [resource for query in queries for _, resource in bundle_entries(self._ehr.search(query))]

    def _has_seen(self, visit: Visit, seen: str | None) -> bool:
        return visit.latest is not None and (visit.latest.hook, visit.latest.id) == ("order-sign", seen)

    def _ask(self, visit: Visit, hook: str, context: Json, occasion: str) -> None:
        visit.signed = 0
        visit.consultations.append(self._adviser.ask(hook, visit.patient_id, context, occasion))

    def _create(self, resource: Json) -> Json:
        """Put a resource into the chart, an order with its day; one that names itself by an identifier, once."""
        if resource["resourceType"] in ORDER_TYPES:
            resource = {"authoredOn": instant(self._now()), **resource}
        names = identifiers(resource)
        return self._ehr.create(resource, urlencode({"identifier": names[0]}) if names else None)

    def _decide(
        self,
        visit: Visit,
        card_id: str,
        outcome: Json,
        words: str,
        suggestion_id: str | None = None,
        comment: str = "",
    ) -> None:
        at = self._now()
        service_id = visit.latest.service_id if visit.latest else ""
        problem = self._adviser.report(service_id, {"card": card_id, "outcomeTimestamp": instant(at), **outcome})
        visit.decisions.append(Decision(card_id, words, at, suggestion_id, problem, comment))
