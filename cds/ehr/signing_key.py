"""The private key with which we say who we are to an EHR's token server."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from warnings import catch_warnings

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, RSAKey

from cds.errors import SettingsError
from cds.settings import read_secret
from fhir_mappings.elements import objects

# What SMART App Launch 2.2, section "Client Authentication: Asymmetric", has every server support.
RSA_ALGORITHM = "RS384"
EC_ALGORITHM = "ES384"
# RFC 7518, sections 3.3 and 3.4: the least length for RSA, and the curve of ES384.
LEAST_RSA_BITS = 2048
EC_CURVE = "P-384"
_NOT_A_KEY = (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError)


@dataclass(frozen=True)
class SigningKey:
    """A private key with its algorithm and the `kid` under which the EHR knows its public half; never shown."""

    algorithm: str
    key_id: str
    key: RSAKey | ECKey = field(repr=False)

    def signed(self, claims: dict[str, Any]) -> str:
        """The claims as a signed JWT."""
        header = {"alg": self.algorithm, "kid": self.key_id, "typ": "JWT"}
        return jwt.encode(header, claims, self.key, algorithms=[self.algorithm])


def read_signing_key(file: Path, algorithm: str | None = None, key_id: str | None = None) -> SigningKey:
    """The private key of a PEM, JWK or JWKS file; `algorithm` and `key_id` choose where there are several.

    Without `key_id` a key without a `kid` gets its thumbprint (RFC 7638). Raises SettingsError, which never quotes the
    file.
    """
    wanted = {algorithm} if algorithm else {RSA_ALGORITHM, EC_ALGORITHM}
    keys = [_read(kind, one) for one in _written_keys(read_secret(file)) for kind in (RSAKey, ECKey)]
    fitting = [key for key in keys if key and key.is_private and _algorithm(key) in wanted]
    if len(fitting) > 1 and key_id is not None:
        fitting = [key for key in fitting if key.kid == key_id]
    if len(fitting) != 1:
        raise SettingsError(
            f"the private key file {file.name!r} must hold one key for {' or '.join(sorted(wanted))}: an unencrypted "
            f"private RSA key of at least {LEAST_RSA_BITS} bits or EC key on {EC_CURVE}, as PEM, JWK or JWKS; among "
            "several, key_id names one"
        )
    (key,) = fitting
    return SigningKey(_algorithm(key), key_id or key.kid or key.thumbprint(), key)


def _written_keys(written: str) -> Iterable[str | dict[str, Any]]:
    """Each key of the file: a PEM as it stands, the JWK, or the JWKs of a set."""
    if not written.startswith("{"):
        return [written]
    try:
        content = json.loads(written)
    except (ValueError, RecursionError):
        return []
    return objects(content.get("keys", content))


def _read(kind: type[RSAKey] | type[ECKey], written: str | dict[str, Any]) -> RSAKey | ECKey | None:
    """The key if it is of this kind: a set may hold others, with which nothing is signed here."""
    if isinstance(written, dict) and written.get("kty") != kind.key_type:
        return None
    # The warning is for a short RSA key, which is refused anyway.
    with suppress(*_NOT_A_KEY), catch_warnings(action="ignore", category=SecurityWarning):
        return kind.import_key(written)
    return None


def _algorithm(key: RSAKey | ECKey) -> str:
    """What the key can sign with; empty for a key that is too short, on another curve, or for another purpose."""
    if isinstance(key, RSAKey):
        able = RSA_ALGORITHM if key.public_key.key_size >= LEAST_RSA_BITS else ""
    else:
        able = EC_ALGORITHM if key.curve_name == EC_CURVE else ""
    return able if key.get("alg", able) == able and key.get("use", "sig") == "sig" else ""
