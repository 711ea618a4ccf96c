"""Who is looking: the id_token of a launch, believed only when its EHR has signed it for us and for this launch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cds.errors import CallerNotTrusted, LaunchRefused
from cds.trust.key_set import PublicKey
from cds.trust.token import Token, read_token
from fhir_mappings.references import reference_parts

ALGORITHMS = ("RS256", "ES256", "RS384", "ES384", "RS512", "ES512", "PS256", "PS384", "PS512")
"""SMART asks for RS256. Never a shared secret, and never `none`: anybody could sign with our client's own."""
USERS = ("Practitioner", "PractitionerRole", "Person")
"""Who may look: the page is for clinicians, and says nothing in words for a patient or her family."""


@dataclass(frozen=True)
class Expected:
    """What an id_token must say: whose it is, for whom, for which launch, and when."""

    issuer: str
    client_id: str
    nonce: str
    now: datetime
    skew_s: float


def fhir_user(id_token: object, keys: Mapping[str, PublicKey], expected: Expected) -> str:
    """The user as a reference, such as `Practitioner/123`; raises LaunchRefused (OpenID Connect Core, 3.1.3.7)."""
    token = _token(id_token)
    fault = _fault(token, keys, expected)
    if fault:
        raise LaunchRefused(f"The EHR's word on who is looking cannot be believed: {fault}.")
    kind, user_id = reference_parts(token.claims.get("fhirUser")) or ("", "")
    if kind not in USERS:
        raise LaunchRefused("The EHR did not say who is looking (fhirUser), and the audit trail needs that.")
    return f"{kind}/{user_id}"


def _token(written: object) -> Token:
    try:
        return read_token(f"Bearer {written}" if isinstance(written, str) else None)
    except CallerNotTrusted as e:
        raise LaunchRefused("The EHR did not say who is looking: it sent no id_token that can be read.") from e


def _fault(token: Token, keys: Mapping[str, PublicKey], expected: Expected) -> str:
    """What is wrong with it, in the order of looking; empty where nothing is."""
    claims = token.claims
    told = claims.get("aud")
    audience = told if isinstance(told, list) else [told]
    if not _is_signed(token, keys):
        return "its signature is not of a key that it publishes"
    if claims.get("iss") != expected.issuer:
        return "it is of another issuer"
    if expected.client_id not in audience or claims.get("azp", expected.client_id) != expected.client_id:
        return "it is for another client"
    if len(audience) > 1 and "azp" not in claims:
        return "it is for several clients and does not say whose it is"
    if claims.get("nonce") != expected.nonce:
        return "it is of another launch"
    if not _seconds(claims.get("exp")) > expected.now.timestamp() - expected.skew_s:
        return "its time is over, or the clocks differ"
    return ""


def _is_signed(token: Token, keys: Mapping[str, PublicKey]) -> bool:
    algorithm, key_id = token.header.get("alg"), token.header.get("kid")
    if algorithm not in ALGORITHMS:
        return False
    # OpenID Connect Core, 10.1: the kid may be left out where there is one key only.
    key = keys.get(key_id) if isinstance(key_id, str) else next(iter(keys.values())) if len(keys) == 1 else None
    return key is not None and key.get("alg", algorithm) == algorithm and token.is_signed_by(key, algorithm)


def _seconds(value: object) -> float:
    # As it is: a whole number may be too large for a float, and compares all the same.
    return value if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
