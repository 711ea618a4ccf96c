"""Reading from the EHR's FHIR server, and writing to it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self
from urllib.parse import urljoin

import requests

from cds.ehr.exchange import (
    A_CLINICIAN_WAITS,
    Exchange,
    Patience,
    TokenSource,
    given_token,
    parsed_resource,
)
from cds.ehr.stored import stored_resource
from cds.errors import EhrAnswerBroken, UntrustedServer
from cds.origins import leads_home
from fhir_mappings.bundles import bundle_entries, next_link, outcome_problem
from fhir_mappings.elements import objects
from fhir_mappings.errors import ResourceProblem

MAX_PAGES = 20
# Type and id, or type and query: nothing that urllib could take for another host or a parent folder.
_RELATIVE = re.compile(r"(?!\.+(/|$))[A-Za-z]+(/(?!\.+(/|\?|$))[A-Za-z0-9._~%$-]+)*(\?.*)?", re.DOTALL)


class Ehr(Protocol):
    """What the service asks of an EHR; all raise EhrError or UntrustedServer."""

    def read(self, path: str) -> dict[str, Any]:
        """One resource by its relative address, such as `Patient/123`."""
        ...

    def search(self, query: str) -> dict[str, Any]:
        """All pages of a search such as `ImagingStudy?patient=123` as one searchset Bundle, never a part of them."""
        ...

    def pages(self, query: str) -> Iterator[dict[str, Any]]:
        """The pages of a search one after the other; unless it ends with an error, these were all."""
        ...


class WritableEhr(Ehr, Protocol):
    """An EHR that takes resources, too. Both answer with what is stored now: at least its type, id and version."""

    def create(self, resource: dict[str, Any], if_none_exist: str | None = None) -> dict[str, Any]:
        """Store a new resource, or find the one that the query `if_none_exist` finds (R4, Conditional create)."""
        ...

    def update(self, resource: dict[str, Any], if_match: str | None = None) -> dict[str, Any]:
        """Store a resource under its own id; EhrConflict where the stored version is no longer `if_match`."""
        ...


class FhirEhr:
    """An R4 FHIR server, with the token of the call (CDS Hooks 2.0.1, section FHIR Resource Access) or one's own."""

    def __init__(
        self,
        base_url: str,
        access: str | TokenSource | None,
        timeout_s: float = 5.0,
        session: requests.Session | None = None,
        wait: Callable[[float], object] = time.sleep,
        max_pages: int = MAX_PAGES,
        patience: Patience = A_CLINICIAN_WAITS,
    ) -> None:
        tokens = given_token(access) if access is None or isinstance(access, str) else access
        self._base = base_url.rstrip("/")
        self._exchange = Exchange(base_url, tokens, timeout_s, session, wait, patience)
        self._origin = self._exchange.origin
        self._max_pages = max_pages

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._exchange.close()

    def read(self, path: str) -> dict[str, Any]:
        """One resource by its relative address, such as `Patient/123`."""
        resource = self._get(self._url(path))
        wanted = path.split("/")[0]
        if resource.get("resourceType") != wanted:
            raise EhrAnswerBroken(f"the EHR at {self._origin} answered a read of {wanted!r} with another resource")
        return resource

    def search(self, query: str) -> dict[str, Any]:
        """All pages of a search such as `ImagingStudy?patient=123` as one searchset Bundle, never a part of them."""
        pages = list(self.pages(query))
        links = [link for link in objects(pages[0].get("link")) if link.get("relation") == "self"]
        merged = [entry for page in pages for entry in objects(page.get("entry"))]
        return pages[0] | {"type": "searchset", "link": links, "entry": merged}

    def pages(self, query: str) -> Iterator[dict[str, Any]]:
        """The pages of a search one after the other; unless it ends with an error, these were all."""
        seen: set[str] = set()
        link: str | None = self._url(query)
        while link is not None:
            if link in seen or len(seen) == self._max_pages:
                raise EhrAnswerBroken(f"the search of the EHR at {self._origin} did not end after {len(seen)} pages")
            seen.add(link)
            page = self._searchset(link)
            yield page
            link = self._following(page, link)

    def create(self, resource: dict[str, Any], if_none_exist: str | None = None) -> dict[str, Any]:
        """Store a new resource, or find the one that the query `if_none_exist` finds (R4, Conditional create)."""
        kind = resource["resourceType"]
        answer = self._exchange.send("POST", self._url(kind), resource, if_none_exist=if_none_exist)
        return stored_resource(answer, kind, self._origin)

    def update(self, resource: dict[str, Any], if_match: str | None = None) -> dict[str, Any]:
        """Store a resource under its own id; EhrConflict where the stored version is no longer `if_match`."""
        kind, resource_id = resource["resourceType"], resource["id"]
        version = None if if_match is None else f'W/"{if_match}"'
        answer = self._exchange.send("PUT", self._url(f"{kind}/{resource_id}"), resource, if_match=version)
        return stored_resource(answer, kind, self._origin, resource_id)

    def _searchset(self, url: str) -> dict[str, Any]:
        page = self._get(url)
        try:
            bundle_entries(page)
        except ResourceProblem as problem:
            raise EhrAnswerBroken(f"the EHR at {self._origin} did not answer a search: {problem}") from None
        failure = outcome_problem(page)
        if failure is not None:
            raise EhrAnswerBroken(f"the EHR at {self._origin} could not search everything: {failure}")
        return page

    def _following(self, page: dict[str, Any], url: str) -> str | None:
        link = next_link(page)
        if link is None:
            return None
        # The token goes with every page: a link to elsewhere would hand it over.
        if not leads_home(url, link):
            raise UntrustedServer(
                f"the EHR at {self._origin} links the next page of a search to another server, which is not followed; "
                "correct the FHIR server's own base address"
            )
        return urljoin(url, link)

    def _url(self, path: str) -> str:
        if not _RELATIVE.fullmatch(path):
            raise UntrustedServer("only addresses relative to the FHIR server are asked for, such as 'Patient/123'")
        return f"{self._base}/{path}"

    def _get(self, url: str) -> dict[str, Any]:
        resource = parsed_resource(self._exchange.get(url), self._origin)
        if resource.get("resourceType") == "OperationOutcome":
            raise EhrAnswerBroken(f"no data from the EHR at {self._origin}: {outcome_problem(resource)}")
        return resource
