"""Who the page is to one EHR: where a clinician is sent to say who she is, and what the EHR grants for that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import requests
from authlib.integrations.requests_client import OAuth2Session, OAuthError

from cds.addresses import Destinations
from cds.deadline import InTimeAdapter
from cds.errors import EhrAnswerBroken, EhrUnreachable, LaunchRefused
from cds.origins import SameOriginSession, origin
from cds.pages.smart.configuration import PKCE, SmartConfiguration, read_configuration
from cds.pages.smart.identity import Expected, fhir_user
from cds.trust.key_sources import keys_at
from fhir_mappings.references import is_resource_id


@dataclass(frozen=True)
class Begun:
    """A launch on its way: what must come back, and what proves that it was ours (RFC 6749, 10.12, and RFC 7636)."""

    ehr: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True)
class Grant:
    """What the EHR granted: whose chart it is, who is looking, from which card, and a token for the banner."""

    patient_id: str = field(repr=False)
    user_id: str = field(repr=False)
    card: str | None
    needs_banner: bool
    access_token: str = field(repr=False)


@dataclass(frozen=True)
class SmartClient:
    """The page as a client of one EHR; `verify` is what requests calls so. Keeps no token and no answer.

    All methods raise EhrError, UntrustedServer or CallerKeysUnread where the EHR does not do its part.
    """

    fhir_server: str
    client_id: str
    scope: str
    secret: str | None = field(default=None, repr=False)
    authorization_server: str | None = None
    verify: bool | str = True
    destinations: Destinations | None = None
    timeout_s: float = 5.0
    skew_s: float = 60.0
    clock_s: Callable[[], float] = time.monotonic

    def configuration(self) -> SmartConfiguration:
        """What the EHR says of its authorization server, read anew."""
        with self._guarded() as session:
            return read_configuration(
                self.fhir_server,
                self.authorization_server,
                partial(self._answer, session.get, timeout=self.timeout_s, headers={"Accept": "application/json"}),
            )

    def authorization_url(self, launch: str, begun: Begun, redirect_uri: str) -> str:
        """Where the browser goes from the launch: the EHR's own page, which sends it to `redirect_uri`."""
        told = self.configuration()
        with self._oauth(redirect_uri) as oauth:
            url, _ = oauth.create_authorization_url(
                told.authorization_endpoint,
                state=begun.state,
                code_verifier=begun.verifier,
                nonce=begun.nonce,
                launch=launch,
                aud=self.fhir_server,
            )
        return str(url)

    def grant(self, code: str, issuer: str | None, begun: Begun, redirect_uri: str, now: datetime) -> Grant:
        """What a code is exchanged for; `issuer` is whom the answer says that it comes from (RFC 9207), if anybody.

        Raises LaunchRefused where it is not for one patient and one user, beside what all methods raise.
        """
        told = self.configuration()
        if issuer != told.issuer and (issuer is not None or told.is_issuer_sent):
            raise LaunchRefused("The answer to this launch is not of the EHR that it was begun with.")
        token = self._exchanged(told, code, begun, redirect_uri)
        keys = keys_at(told.jwks_uri, self.verify, self.destinations, self.timeout_s, self.clock_s)
        expected = Expected(told.issuer, self.client_id, begun.nonce, now, self.skew_s)
        user_id = fhir_user(token.get("id_token"), keys, expected)
        return _grant(token, user_id)

    def _exchanged(self, told: SmartConfiguration, code: str, begun: Begun, redirect_uri: str) -> dict[str, Any]:
        try:
            with self._oauth(redirect_uri) as oauth:
                fetch = partial(oauth.fetch_token, code=code, code_verifier=begun.verifier, allow_redirects=False)
                return dict(self._answer(fetch, told.token_endpoint, grant_type="authorization_code"))
        except OAuthError:
            # Not its description: it may quote what was sent.
            raise LaunchRefused("The EHR did not accept this launch; it may have been used already.") from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            # Authlib takes an object for granted, and in it a number for when the token ends.
            raise EhrAnswerBroken(
                f"the EHR at {origin(told.token_endpoint)} answered with no token in JSON that can be read"
            ) from None

    def _answer(self, ask: Callable[..., Any], url: str, **how: Any) -> Any:
        try:
            return ask(url, **how)
        except (requests.ConnectionError, requests.Timeout):
            raise EhrUnreachable(f"no answer from the EHR at {origin(url)}; try again later") from None
        except requests.HTTPError:
            raise EhrUnreachable(f"the EHR at {origin(url)} could not answer; try again later") from None
        except requests.RequestException:
            raise EhrAnswerBroken(f"the answer of the EHR at {origin(url)} broke off or is not HTTP") from None

    @contextmanager
    def _oauth(self, redirect_uri: str) -> Iterator[OAuth2Session]:
        """Authlib's session, over our own guarded connections."""
        with (
            self._guarded() as guarded,
            OAuth2Session(
                self.client_id,
                self.secret,
                scope=self.scope,
                redirect_uri=redirect_uri,
                code_challenge_method=PKCE,
                default_timeout=self.timeout_s,
            ) as oauth,
        ):
            oauth.trust_env, oauth.verify = False, self.verify
            for prefix, adapter in guarded.adapters.items():
                oauth.mount(prefix, adapter)
            yield oauth

    @contextmanager
    def _guarded(self) -> Iterator[SameOriginSession]:
        home, ends = origin(self.fhir_server), self.clock_s() + self.timeout_s

        def in_time() -> None:
            if self.clock_s() > ends:
                raise EhrUnreachable(f"the EHR at {home} did not answer within {self.timeout_s:g} s")

        with SameOriginSession(self.verify, self.destinations) as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, InTimeAdapter(in_time))
            yield session


def _grant(token: dict[str, Any], user_id: str) -> Grant:
    """The grant in a token response (SMART App Launch 2.2, "Launch context arrives with your access_token")."""
    patient_id, card, access = token.get("patient"), token.get("appContext"), token.get("access_token")
    if not is_resource_id(patient_id):
        raise LaunchRefused("The EHR did not say whose chart is open.")
    # What cannot be printed no database takes, and no card has it.
    if card is not None and not (isinstance(card, str) and card.isprintable()):
        raise LaunchRefused("The EHR did not give back what the card had it keep (appContext).")
    if not isinstance(access, str) or str(token.get("token_type")).lower() != "bearer":
        raise LaunchRefused("The EHR gave no token of the type bearer.")
    return Grant(str(patient_id), user_id, card or None, token.get("need_patient_banner") is not False, access)
