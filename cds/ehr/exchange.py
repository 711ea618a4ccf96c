"""Requests to one FHIR server: the token they carry, how often they are repeated, and the error a bad answer is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Protocol

import requests

from cds.deadline import in_all
from cds.errors import (
    EhrAnswerBroken,
    EhrConflict,
    EhrError,
    EhrNotFound,
    EhrRefused,
    EhrRejected,
    EhrUnreachable,
)
from cds.origins import BearerToken, SameOriginSession, origin

FHIR_JSON = "application/fhir+json"
LONGEST_RETRY_AFTER_S = 86_400.0
MOST_BYTES = 256 << 20
"""Of an answer, unpacked: a page of two hundred studies takes less than one million."""
# Not 202, "will be done", nor 206, a part.
_GOOD = frozenset({200, 201, 204})
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_NOT_ACCEPTED = frozenset({400, 405, 413, 415, 422, 501})


class TokenSource(Protocol):
    """Where the bearer token of each request comes from."""

    def bearer(self, refused: BearerToken | None = None) -> BearerToken | None:
        """The token to present; after a 401 to `refused` a new one, or the same again where there is no other."""
        ...


@dataclass(frozen=True)
class GivenToken:
    """The one token that the EHR sent with its call or that the site keeps in a file, or none."""

    token: BearerToken | None

    def bearer(self, refused: BearerToken | None = None) -> BearerToken | None:
        """The given token, also where it is refused."""
        return self.token


def given_token(token: str | None) -> GivenToken:
    """The token as a TokenSource; EhrRefused if no header can carry it."""
    try:
        return GivenToken(None if token is None else BearerToken(token))
    except ValueError as error:
        raise EhrRefused(f"{error}; the EHR must send one that fits") from None


@dataclass(frozen=True)
class Patience:
    """How often a read is repeated that the server could not answer, and after what wait.

    `wait_s` is for a server that names no time in Retry-After; one that asks for more than `longest_wait_s` is not
    asked again.
    """

    retries: int
    wait_s: float
    longest_wait_s: float

    def pause_s(self, response: requests.Response | None) -> float | None:
        """The wait before the next attempt; None if there should be none. No response is no connection."""
        if response is None:
            return self.wait_s
        if response.status_code not in _TRY_AGAIN:
            return None
        asked = retry_after_s(response)
        if asked is None:
            return self.wait_s
        return asked if asked <= self.longest_wait_s else None


A_CLINICIAN_WAITS = Patience(retries=1, wait_s=0.2, longest_wait_s=0.2)


class Exchange:
    """Requests to one FHIR server; reads are repeated as its patience allows, writes never."""

    def __init__(
        self,
        base_url: str,
        tokens: TokenSource,
        timeout_s: float,
        session: requests.Session | None,
        wait: Callable[[float], object] = time.sleep,
        patience: Patience = A_CLINICIAN_WAITS,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.origin = origin(base_url)
        self._clock_s = clock_s
        self._tokens = tokens
        self._timeout_s = timeout_s
        self._session = session or SameOriginSession()
        self._wait = wait
        self._patience = patience

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def get(self, url: str) -> requests.Response:
        """The good answer to a read; raises EhrError, or UntrustedServer for a redirect to elsewhere."""
        # Our own loop, because urllib3's logs the whole URL, and with it the patient.
        headers = {"Accept": FHIR_JSON}
        response = self._answer("GET", url, headers=headers)
        for _ in range(self._patience.retries):
            pause_s = self._patience.pause_s(response)
            if pause_s is None:
                break
            self._wait(pause_s)
            response = self._answer("GET", url, headers=headers)
        return self._good(response)

    def send(self, method: str, url: str, resource: dict[str, Any], **conditions: str | None) -> requests.Response:
        """The good answer to a write, such as `send("PUT", url, resource, if_match='W/"1"')`; raises as `get` does."""
        set_ones = {name.replace("_", "-"): value for name, value in conditions.items() if value is not None}
        headers = {"Accept": FHIR_JSON, "Content-Type": FHIR_JSON, "Prefer": "return=representation", **set_ones}
        body = json.dumps(resource, allow_nan=False).encode()
        # Once only: whether a write whose answer is lost was carried out, a search tells, not a second write. And a
        # redirected POST would arrive as a GET.
        return self._good(self._answer(method, url, headers=headers, data=body, allow_redirects=False))

    def _answer(self, method: str, url: str, **how: Any) -> requests.Response | None:
        """The answer, None without a connection; a token that is refused is renewed once."""
        token = self._tokens.bearer()
        response = self._once(method, url, auth=token, **how)
        if response is None or response.status_code != 401:
            return response
        renewed = self._tokens.bearer(refused=token)
        return response if renewed is token else self._once(method, url, auth=renewed, **how)

    def _once(self, method: str, url: str, **how: Any) -> requests.Response | None:
        ends = self._clock_s() + self._timeout_s

        def in_time() -> None:
            if self._clock_s() > ends:
                raise self._too_slow()

        hooks = {"response": partial(bound_body, in_time)}
        try:
            return self._session.request(method, url, timeout=in_all(self._timeout_s), hooks=hooks, **how)
        except requests.ConnectionError:
            return None
        except requests.Timeout:
            raise self._too_slow() from None
        except requests.RequestException:
            # requests' own words would quote the URL, and with it the patient.
            raise EhrAnswerBroken(f"the answer of the EHR at {self.origin} broke off or is not HTTP") from None

    def _too_slow(self) -> EhrUnreachable:
        return EhrUnreachable(f"the EHR at {self.origin} did not answer within {self._timeout_s:g} s")

    def _good(self, response: requests.Response | None) -> requests.Response:
        if response is None:
            raise EhrUnreachable(f"no connection to the EHR at {self.origin}; try again later")
        if response.status_code not in _GOOD:
            raise _refusal(response, self.origin)
        return response


class _BoundBody:
    """A response body that fails where it takes too long or is too large.

    The timeout of requests is for each piece of it alone, and it keeps all of them in memory.
    """

    def __init__(self, body: Any, in_time: Callable[[], None], server: str) -> None:
        self._body, self._in_time, self._server = body, in_time, server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def stream(self, amt: int, decode_content: bool | None = None) -> Iterator[bytes]:
        taken = 0
        # `read1`, because `read` waits for all of `amt`, which at a byte a second is never there.
        while chunk := self._body.read1(amt, decode_content=decode_content):
            self._in_time()
            taken += len(chunk)
            if taken > MOST_BYTES:
                raise EhrAnswerBroken(f"the answer of {self._server} is larger than {MOST_BYTES} bytes; ask for less")
            yield chunk


def bound_body(in_time: Callable[[], None], response: requests.Response, *_: Any, **__: Any) -> None:
    """Response hook: have the body, which is not read yet, fail where `in_time` raises or it is too large."""
    response.raw = _BoundBody(response.raw, in_time, origin(response.url))


def _refusal(response: requests.Response, server: str) -> EhrError:
    status = response.status_code
    answered = f"the EHR at {server} answered {status}"
    if status in (401, 403):
        return EhrRefused(f"{answered}: its access token does not cover this data")
    if status in (404, 410):
        return EhrNotFound(f"{answered}: it does not have what was asked for")
    if response.request.method != "GET" and status in (409, 412):
        return EhrConflict(f"{answered}: what it holds has changed since; read it again, then write")
    if response.request.method != "GET" and status in _NOT_ACCEPTED:
        return EhrRejected(f"{answered}: it does not accept this resource; look at what it may be sent")
    if status == 429 or status >= 500:
        return EhrUnreachable(f"{answered}; try again later", retry_after_s(response))
    return EhrAnswerBroken(f"{answered}; check the FHIR base address and the query")


def retry_after_s(response: requests.Response) -> float | None:
    """The seconds a server asks to wait (RFC 9110, section 10.2.3), at most a day; None where it does not say."""
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdecimal():
        return min(float(asked), LONGEST_RETRY_AFTER_S)
    # A date is counted from the server's own, so that two clocks which differ do not matter.
    until, now = http_date(asked), http_date(response.headers.get("Date", ""))
    if until is None or now is None:
        return None
    return min(max((until - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


def http_date(value: str) -> datetime | None:
    """The moment that a header names (RFC 9110, section 5.6.7); None where it names none."""
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else None


def parsed_resource(response: requests.Response, server: str) -> dict[str, Any]:
    """The FHIR resource of an answer; raises EhrAnswerBroken for anything else."""
    try:
        resource = json.loads(response.content)
    except (ValueError, RecursionError):
        raise EhrAnswerBroken(f"the EHR at {server} answered something that is not JSON; check its address") from None
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise EhrAnswerBroken(f"the EHR at {server} answered JSON that is not a FHIR resource")
    return resource
