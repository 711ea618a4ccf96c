"""The EHR's side of CDS Hooks 2.0.1: discovery, prefetch, calls and feedback, each a real HTTP request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import requests

from cds.demo.resources import hook_call
from cds.ehr.client import Ehr
from cds.errors import EhrError
from cds.origins import SameOriginSession
from fhir_mappings.elements import as_object, objects

Json = dict[str, Any]
LONGEST_ANSWER_S = 15.0


@dataclass(frozen=True)
class Consultation:
    """One hook call and what came of it; `request` is the call as sent but for its access token.

    `problem` says why there is no answer, which is another thing than an answer without cards.
    """

    service_id: str
    hook: str
    occasion: str
    asked_at: datetime
    took_ms: int
    request: Json
    answer: Json
    problem: str | None = None

    @property
    def id(self) -> str:
        """The call's own id."""
        return str(self.request["hookInstance"])

    @property
    def cards(self) -> list[Json]:
        """The cards of the answer."""
        return objects(self.answer.get("cards", []))


class Adviser(Protocol):
    """What the EHR asks of a decision support service."""

    def ask(self, hook: str, patient_id: str, context: Json, occasion: str) -> Consultation:
        """Fire a hook; `occasion` is what the clinician did, in her words."""
        ...

    def report(self, service_id: str, feedback: Json) -> str | None:
        """Tell what was done with a card; why that could not be told, or None."""
        ...


@dataclass(frozen=True)
class Access:
    """How the service reads the chart during a call: the EHR's FHIR server, and the token that the call carries."""

    fhir_server: str
    token: str


class CdsHooks:
    """A CDS Hooks service at an address, asked with whatever prefetch it wants of this EHR's chart."""

    def __init__(
        self,
        service_url: str,
        ehr: Ehr,
        access: Access,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._root = f"{service_url}/cds-services"
        self._ehr = ehr
        self._access = access
        self._now = now
        self._clock_s = clock_s

    def ask(self, hook: str, patient_id: str, context: Json, occasion: str) -> Consultation:
        """Fire a hook with its prefetch; whatever fails on the way is the consultation's `problem`."""
        body = hook_call(hook, patient_id, self._access.fhir_server, self._access.token, context)
        service, problem = self._announced(hook)
        if problem is not None:
            return Consultation("", hook, occasion, self._now(), 0, _without_token(body), {}, problem)
        body["prefetch"] = self._prefetch(as_object(service.get("prefetch")), patient_id)
        asked_at, began_s = self._now(), self._clock_s()
        answer, problem = self._exchange("POST", f"{self._root}/{service['id']}", body)
        took_ms = round(1000 * (self._clock_s() - began_s))
        return Consultation(service["id"], hook, occasion, asked_at, took_ms, _without_token(body), answer, problem)

    def report(self, service_id: str, feedback: Json) -> str | None:
        """Tell what was done with a card; why that could not be told, or None."""
        _, problem = self._exchange("POST", f"{self._root}/{service_id}/feedback", {"feedback": [feedback]})
        return problem

    def _announced(self, hook: str) -> tuple[Json, str | None]:
        """The service for a hook as it announces itself, and why there is none."""
        discovered, problem = self._exchange("GET", self._root)
        services = [one for one in objects(discovered.get("services", [])) if one.get("hook") == hook]
        if problem is None and not services:
            problem = f"the service announces nothing for {hook}"
        return (services[0] if services else {}), problem

    def _prefetch(self, templates: Mapping[str, Any], patient_id: str) -> Json:
        """What could be read of what the service asks for; the rest it reads itself, or says that it could not."""
        found = {}
        for key, template in templates.items():
            query = str(template).replace("{{context.patientId}}", patient_id)
            try:
                found[key] = self._ehr.search(query) if "?" in query else self._ehr.read(query)
            except EhrError:
                continue
        return found

    def _exchange(self, method: str, url: str, body: Json | None = None) -> tuple[Json, str | None]:
        """The answer, and what was wrong with it."""
        try:
            with SameOriginSession() as session:
                response = session.request(method, url, json=body, timeout=LONGEST_ANSWER_S)
                answer = as_object(response.json())
        except requests.RequestException:
            return {}, "the service cannot be reached, or its answer cannot be read"
        if not response.ok:
            issues = "; ".join(str(issue.get("diagnostics", "")) for issue in objects(answer.get("issue", [])))
            return answer, f"the service answered {response.status_code}: {issues}"
        return answer, None


def _without_token(body: Json) -> Json:
    access = {**body["fhirAuthorization"], "access_token": "not shown"}
    return {**body, "fhirAuthorization": access}
