"""Reading from the EHR's FHIR server while a clinician waits."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self
from urllib.parse import urljoin

import requests

from cds.errors import EhrAnswerBroken, EhrError, EhrNotFound, EhrRefused, EhrUnreachable, UntrustedServer
from cds.origins import BearerToken, SameOriginSession, leads_home, origin
from fhir_mappings.bundles import bundle_entries, next_link, outcome_problem
from fhir_mappings.elements import objects
from fhir_mappings.errors import ResourceProblem

MAX_PAGES = 20
RETRIES = 1
RETRY_WAIT_S = 0.2
_TRY_AGAIN = frozenset({429, 502, 503, 504})
# Type and id, or type and query: nothing that urllib could take for another host or a parent folder.
_RELATIVE = re.compile(r"(?!\.+(/|$))[A-Za-z]+(/(?!\.+(/|\?|$))[A-Za-z0-9._~%$-]+)*(\?.*)?", re.DOTALL)


class Ehr(Protocol):
    """What the service asks of an EHR; both raise EhrError or UntrustedServer."""

    def read(self, path: str) -> dict[str, Any]:
        """One resource by its relative address, such as `Patient/123`."""
        ...

    def search(self, query: str) -> dict[str, Any]:
        """All pages of a search such as `ImagingStudy?patient=123` as one searchset Bundle, never a part of them."""
        ...


class FhirEhr:
    """An R4 FHIR server, with the access token of the call (CDS Hooks 2.0.1, section FHIR Resource Access)."""

    def __init__(
        self,
        base_url: str,
        access_token: str | None,
        timeout_s: float = 5.0,
        session: requests.Session | None = None,
        wait: Callable[[float], object] = time.sleep,
        max_pages: int = MAX_PAGES,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._origin = origin(base_url)
        self._auth = _bearer(access_token)
        self._timeout_s = timeout_s
        self._session = session or SameOriginSession()
        self._wait = wait
        self._max_pages = max_pages

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def read(self, path: str) -> dict[str, Any]:
        """One resource by its relative address, such as `Patient/123`."""
        resource = self._get(self._url(path))
        wanted = path.split("/")[0]
        if resource.get("resourceType") != wanted:
            raise EhrAnswerBroken(f"the EHR at {self._origin} answered a read of {wanted!r} with another resource")
        return resource

    def search(self, query: str) -> dict[str, Any]:
        """All pages of a search such as `ImagingStudy?patient=123` as one searchset Bundle, never a part of them."""
        pages = list(self._pages(self._url(query)))
        links = [link for link in objects(pages[0].get("link")) if link.get("relation") == "self"]
        merged = [entry for page in pages for entry in objects(page.get("entry"))]
        return pages[0] | {"type": "searchset", "link": links, "entry": merged}

    def _pages(self, url: str) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        link: str | None = url
        while link is not None:
            if link in seen or len(seen) == self._max_pages:
                raise EhrAnswerBroken(f"the search of the EHR at {self._origin} did not end after {len(seen)} pages")
            seen.add(link)
            page = self._searchset(link)
            yield page
            link = self._following(page, link)

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
        response = self._answer(url)
        if not response.ok or response.is_redirect:
            raise _refusal(response, self._origin)
        resource = _parsed(response, self._origin)
        if resource.get("resourceType") == "OperationOutcome":
            raise EhrAnswerBroken(f"no data from the EHR at {self._origin}: {outcome_problem(resource)}")
        return resource

    def _answer(self, url: str) -> requests.Response:
        """The answer, after at most `RETRIES` more attempts."""
        # Our own loop, because urllib3's logs the whole URL, and with it the patient.
        for attempt in range(RETRIES + 1):
            last = attempt == RETRIES
            try:
                response = self._once(url)
            except requests.ConnectionError:
                if last:
                    raise EhrUnreachable(f"no connection to the EHR at {self._origin}; try again later") from None
            else:
                if last or response.status_code not in _TRY_AGAIN:
                    return response
            self._wait(RETRY_WAIT_S)
        raise AssertionError("the last attempt returns or raises")

    def _once(self, url: str) -> requests.Response:
        headers = {"Accept": "application/fhir+json"}
        try:
            return self._session.get(url, headers=headers, auth=self._auth, timeout=self._timeout_s)
        except requests.ConnectionError:
            raise
        except requests.Timeout:
            raise EhrUnreachable(f"the EHR at {self._origin} did not answer within {self._timeout_s:g} s") from None
        except requests.RequestException:
            # requests' own words would quote the URL, and with it the patient.
            raise EhrAnswerBroken(f"the answer of the EHR at {self._origin} broke off or is not HTTP") from None


def _bearer(access_token: str | None) -> BearerToken | None:
    try:
        return None if access_token is None else BearerToken(access_token)
    except ValueError as error:
        raise EhrRefused(f"{error}; the EHR must send one that fits") from None


def _refusal(response: requests.Response, server: str) -> EhrError:
    status = response.status_code
    if status in (401, 403):
        return EhrRefused(f"the EHR at {server} answered {status}: its access token does not cover this data")
    if status in (404, 410):
        return EhrNotFound(f"the EHR at {server} answered {status}: it does not have what was asked for")
    if status == 429 or status >= 500:
        return EhrUnreachable(f"the EHR at {server} answered {status}; try again later")
    return EhrAnswerBroken(f"the EHR at {server} answered {status}; check the FHIR base address and the query")


def _parsed(response: requests.Response, server: str) -> dict[str, Any]:
    try:
        resource = json.loads(response.content)
    except (ValueError, RecursionError):
        raise EhrAnswerBroken(f"the EHR at {server} answered something that is not JSON; check its address") from None
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise EhrAnswerBroken(f"the EHR at {server} answered JSON that is not a FHIR resource")
    return resource
