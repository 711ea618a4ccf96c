"""The public keys of a JWK Set (RFC 7517), as far as signatures may be held against them."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from cds.ehr.signing_key import LEAST_RSA_BITS
from fhir_mappings.elements import objects

PublicKey = RSAKey | ECKey

_KINDS: dict[str, type[PublicKey]] = {"EC": ECKey, "RSA": RSAKey}
# What a public key is made of. Anything else of a JWK would only be one more thing that may be wrong with it.
_MEMBERS = ("kty", "crv", "x", "y", "n", "e", "alg", "kid")
_NOT_A_KEY = (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError)


def public_keys(written: bytes) -> dict[str, PublicKey]:
    """The keys of a JWK Set by their `kid`, or by their thumbprint (RFC 7638); raises ValueError where it is none.

    Left out: symmetric and private keys, keys for encryption, short RSA keys, and a `kid` that two keys have, because
    which of them is meant would be a guess.
    """
    try:
        content = json.loads(written)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(content, dict) or not isinstance(content.get("keys"), list):
        raise ValueError("no JWK Set")
    found = list(_usable(objects(content["keys"])))
    times = Counter(key_id for key_id, _ in found)
    return {key_id: key for key_id, key in found if times[key_id] == 1}


def _usable(jwks: list[dict[str, Any]]) -> Iterator[tuple[str, PublicKey]]:
    for jwk in jwks:
        if not _is_to_verify_with(jwk):
            continue
        try:
            key = _KINDS[jwk["kty"]].import_key({name: jwk[name] for name in _MEMBERS if name in jwk})
            # RFC 7517, section 4.5: a set of one key need not name it.
            key_id = jwk.get("kid", key.thumbprint())
        except _NOT_A_KEY:
            continue
        if isinstance(key_id, str) and key_id:
            yield key_id, key


def _is_to_verify_with(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    is_for_signatures = jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    return is_for_signatures and "d" not in jwk and not _is_short(jwk)


def _is_short(jwk: dict[str, Any]) -> bool:
    """Whether it is an RSA key that RFC 7518, section 3.3, does not allow; asked before the library warns of it."""
    if jwk.get("kty") != "RSA":
        return False
    try:
        modulus = base64.urlsafe_b64decode(f"{jwk.get('n')}==")
    except ValueError:
        return True
    return int.from_bytes(modulus).bit_length() < LEAST_RSA_BITS
