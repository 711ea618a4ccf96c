"""The service's own access token, by SMART Backend Services: for the night, when nobody calls and brings one.

HL7 SMART App Launch 2.2, sections "Backend Services" and "Client Authentication: Asymmetric" (private_key_jwt).
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import requests

from cds.ehr.exchange import bound_body, retry_after_s
from cds.ehr.signing_key import SigningKey
from cds.errors import EhrAnswerBroken, EhrError, EhrRefused, EhrUnreachable, UntrustedServer
from cds.origins import BearerToken, SameOriginSession, origin, same_origin

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# The standard allows five minutes: half of them, so that either clock may be wrong by the other half.
ASSERTION_S = 150
UNTOLD_LIFETIME_S = 60.0
LONGEST_LIFETIME_S = 86_400.0
RENEW_BEFORE_S = 30.0
# RFC 6749, section 5.2: the only words of the server that are repeated.
_ADVICE = {
    "invalid_client": "register the public key of private_key_file for client_id there, and compare the clocks",
    "invalid_scope": "ask for scopes that it grants to client_id, by the setting scope",
    "unauthorized_client": "have client_id allowed to use client_credentials there",
    "unsupported_grant_type": "it has no client_credentials: use access_token_file",
    "invalid_request": "check client_id, token_url and signing_algorithm",
    "invalid_grant": "check client_id, token_url and signing_algorithm",
}


@dataclass(frozen=True)
class BackendClient:
    """Who we are to the EHR's token server; without `token_url` the FHIR server is asked for it."""

    fhir_server: str
    client_id: str
    key: SigningKey
    scope: str
    token_url: str | None = None


class BackendToken:
    """A TokenSource that gets tokens from the EHR, keeps each until shortly before its end, and serves many threads."""

    def __init__(
        self,
        client: BackendClient,
        timeout_s: float = 5.0,
        session: requests.Session | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._session = session or SameOriginSession()
        self._now = now
        self._lock = threading.Lock()
        self._token_url = client.token_url
        self._token: BearerToken | None = None
        self._renew_at = now()

    def bearer(self, refused: BearerToken | None = None) -> BearerToken:
        """The token to present; raises EhrError or UntrustedServer where there is none to be had."""
        # Under the lock, so that many threads whose token has run out ask for one new token.
        with self._lock:
            if self._token is None or self._token is refused or self._now() >= self._renew_at:
                asked_at = self._now()
                self._token, lifetime_s = self._granted()
                self._renew_at = asked_at + timedelta(seconds=lifetime_s - min(RENEW_BEFORE_S, lifetime_s / 4))
            return self._token

    def _granted(self) -> tuple[BearerToken, float]:
        """A new token and how many seconds it lives."""
        if self._token_url is None:
            self._token_url = self._discovered()
        form = {
            "grant_type": "client_credentials",
            "scope": self._client.scope,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._assertion(self._token_url),
        }
        # A redirect is not followed: the assertion is meant for this address alone.
        answer = _json(self._answer("POST", self._token_url, data=form, allow_redirects=False), self._token_url)
        if str(answer.get("token_type", "")).lower() != "bearer":
            raise EhrAnswerBroken(f"the token server {origin(self._token_url)} gave no token of the type bearer")
        try:
            return BearerToken(str(answer.get("access_token") or "")), _lifetime_s(answer.get("expires_in"))
        except ValueError:
            raise EhrAnswerBroken(
                f"the token server {origin(self._token_url)} gave no token that can be sent"
            ) from None

    def _assertion(self, token_url: str) -> str:
        client = self._client
        expires = int(self._now().timestamp()) + ASSERTION_S
        who = {"iss": client.client_id, "sub": client.client_id, "aud": token_url}
        return client.key.signed({**who, "exp": expires, "jti": str(uuid.uuid4())})

    def _discovered(self) -> str:
        """The token address that the FHIR server names, which must be on its own origin."""
        server = self._client.fhir_server.rstrip("/")
        known = _json(self._answer("GET", f"{server}/.well-known/smart-configuration"), server)
        url = known.get("token_endpoint")
        if not isinstance(url, str):
            raise EhrAnswerBroken(f"the EHR at {origin(server)} names no token_endpoint; set token_url")
        if not same_origin(url, server):
            raise UntrustedServer(
                f"the EHR at {origin(server)} names a token server elsewhere, {origin(url)}; if that is right, set "
                "token_url to its whole address"
            )
        return url

    def _answer(self, method: str, url: str, **how: Any) -> requests.Response:
        headers, ends_s = {"Accept": "application/json"}, time.monotonic() + self._timeout_s

        def in_time() -> None:
            if time.monotonic() > ends_s:
                raise EhrUnreachable(f"the token server {origin(url)} did not answer within {self._timeout_s:g} s")

        hooks = {"response": partial(bound_body, in_time)}
        try:
            response = self._session.request(method, url, headers=headers, timeout=self._timeout_s, hooks=hooks, **how)
        except (requests.ConnectionError, requests.Timeout):
            raise EhrUnreachable(f"no answer from the token server {origin(url)}; try again later") from None
        except requests.RequestException:
            raise EhrAnswerBroken(f"the answer of the token server {origin(url)} is not HTTP") from None
        if response.status_code != 200:
            raise _refusal(response, url)
        return response


def _refusal(response: requests.Response, url: str) -> EhrError:
    status, said = response.status_code, f"the token server {origin(url)} answered {response.status_code}"
    if status == 429 or status >= 500:
        return EhrUnreachable(f"{said}; try again later", retry_after_s(response))
    code = _error_code(response)
    if code is not None:
        return EhrRefused(f"{said}, {code}: {_ADVICE[code]}")
    if status in (401, 403):
        return EhrRefused(f"{said}: {_ADVICE['invalid_client']}")
    return EhrAnswerBroken(f"{said}; check token_url")


def _error_code(response: requests.Response) -> str | None:
    """The error of RFC 6749, section 5.2; its description is left alone: it may quote what was sent."""
    try:
        answer = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    code = answer.get("error") if isinstance(answer, dict) else None
    return code if isinstance(code, str) and code in _ADVICE else None


def _json(response: requests.Response, url: str) -> dict[str, Any]:
    try:
        answer = json.loads(response.content)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise EhrAnswerBroken(f"{origin(url)} did not answer with a JSON object; check fhir_server and token_url")
    return answer


def _lifetime_s(told: object) -> float:
    """How long a token may be kept; one whose lifetime is not told, not long."""
    if isinstance(told, str) and told.isascii() and told.isdecimal():
        told = float(told)  # some servers write the number as text
    if isinstance(told, bool) or not isinstance(told, int | float) or not told >= 0:
        return UNTOLD_LIFETIME_S
    return float(min(told, LONGEST_LIFETIME_S))
