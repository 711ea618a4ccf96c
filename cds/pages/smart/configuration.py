"""What an EHR says of its authorization server, as far as a launch needs it (SMART App Launch 2.2, Conformance)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from cds.addresses import is_this_machine
from cds.errors import EhrAnswerBroken, EhrUnreachable, UntrustedServer
from cds.origins import origin, same_origin

PKCE = "S256"
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True)
class SmartConfiguration:
    """Where a clinician is sent, where a code is exchanged, and by whom and with which keys an id_token is signed."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    issuer: str
    is_issuer_sent: bool = False
    """Whether every answer to a launch says whose it is; one that does not must then be refused (RFC 9207, 2.4)."""


def read_configuration(
    fhir_server: str, authorization_server: str | None, ask: Callable[[str], requests.Response]
) -> SmartConfiguration:
    """The configuration of a FHIR server, whose endpoints are its own or its authorization server's.

    Raises EhrError where it cannot be read or lacks what is needed, and UntrustedServer for endpoints elsewhere.
    """
    home = origin(fhir_server)
    told = _told(ask(f"{fhir_server}/.well-known/smart-configuration"), home)
    if PKCE not in _texts(told.get("code_challenge_methods_supported")):
        raise EhrAnswerBroken(f"the EHR at {home} offers no PKCE with {PKCE}, without which a code could be stolen")
    for name in (*ENDPOINTS, "issuer"):
        if not isinstance(told.get(name), str) or not told[name]:
            raise EhrAnswerBroken(f"the SMART configuration of the EHR at {home} has no {name}")
    for name in ENDPOINTS:
        _check_place(name, told[name], (fhir_server, authorization_server or fhir_server))
    return SmartConfiguration(
        told["authorization_endpoint"],
        told["token_endpoint"],
        told["jwks_uri"],
        told["issuer"],
        told.get("authorization_response_iss_parameter_supported") is True,
    )


def _told(answer: requests.Response, home: str) -> dict[str, Any]:
    if answer.status_code == 429 or answer.status_code >= 500:
        raise EhrUnreachable(f"the EHR at {home} answered {answer.status_code}; try again later")
    try:
        told = answer.json() if answer.status_code == 200 else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise EhrAnswerBroken(f"the EHR at {home} has no SMART configuration (answer {answer.status_code})")
    return told


def _check_place(name: str, url: str, homes: tuple[str, ...]) -> None:
    place = origin(url)
    if not any(same_origin(url, home) for home in homes):
        raise UntrustedServer(
            f"the EHR at {origin(homes[0])} has its {name} elsewhere, at {place}; if that is right, set "
            "authorization_server in [ehrs.smart]"
        )
    if urlsplit(url).scheme != "https" and not is_this_machine(urlsplit(url).hostname or ""):
        raise UntrustedServer(f"the {name} at {place} is plain http: who listens could take the clinician's place")


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
