"""A caller's token taken apart: what it says of itself, believed only after its signature."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from joserfc.errors import JoseError
from joserfc.jws import CompactSignature, JWSRegistry, extract_compact, validate_compact

from cds.errors import CallerNotTrusted, Distrust
from cds.trust.key_set import PublicKey

LONGEST_TOKEN = 8192
"""Characters; the tokens of EHRs have about a thousand."""


class _Registry(JWSRegistry):
    # The library's 512 characters are few for a header with a key address and a certificate's digest in it.
    max_header_length = LONGEST_TOKEN

    def __init__(self, *algorithms: str) -> None:
        # RFC 7515, section 4: members of the header that are not understood are ignored.
        super().__init__(algorithms=algorithms, strict_check_header=False)


@dataclass(frozen=True)
class Token:
    """A JWT that is well formed, and nothing more: whoever made it."""

    header: dict[str, Any] = field(repr=False)
    claims: dict[str, Any] = field(repr=False)
    signed: CompactSignature = field(repr=False)

    def is_signed_by(self, key: PublicKey, algorithm: str) -> bool:
        """Whether this key made its signature, with this algorithm and no other."""
        try:
            return validate_compact(self.signed, key, registry=_Registry(algorithm))
        except (JoseError, ValueError):
            return False


def read_token(authorization: str | None) -> Token:
    """The token of an Authorization header; raises CallerNotTrusted where there is none, or it is no JWT."""
    scheme, _, written = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not written:
        raise CallerNotTrusted(Distrust.MISSING)
    if len(written) > LONGEST_TOKEN:
        raise CallerNotTrusted(Distrust.NOT_A_JWT)
    try:
        signed = extract_compact(written.encode("ascii"), registry=_Registry())
        header, claims = signed.headers(), json.loads(signed.payload)
    except (JoseError, ValueError, TypeError, RecursionError):
        raise CallerNotTrusted(Distrust.NOT_A_JWT) from None
    # RFC 7797, section 7: a JWT has no `b64`; and of nothing that a header may call critical do we know what it means.
    if not isinstance(header, dict) or not isinstance(claims, dict) or not header.keys().isdisjoint({"b64", "crit"}):
        raise CallerNotTrusted(Distrust.NOT_A_JWT)
    return Token(header, claims, signed)
