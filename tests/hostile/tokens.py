"""Hostile tokens: forged in each of the known ways, or signed in earnest with something odd in them."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from tests.cds.trust.callers import EC, PUBLIC_URL, RSA, call, claims, header, public, signed
from tests.hostile.asking import Attempt
from tests.hostile.envelopes import BODY, URL
from tests.hostile.values import hostile_changes
from tests.hostile.women import ADA, MARK

_NUMBERS = count()


def _with_token(authorization: str, *statuses: int) -> Attempt:
    headers = {"HTTP_AUTHORIZATION": authorization, "CONTENT_TYPE": "application/json"}
    return Attempt(URL, {"data": BODY, "environ_overrides": headers}, ADA, statuses=frozenset(statuses))


def good_claims(**changes: Any) -> dict[str, Any]:
    """Those of a call that is let in, with a name of its own."""
    return claims(**{"aud": PUBLIC_URL + URL, "jti": f"{MARK}-{next(_NUMBERS)}", "sub": f"{MARK}-sub", **changes})


def forged_tokens() -> Iterator[Attempt]:
    """Tokens that no EHR of the site has signed."""
    good = signed(header(), good_claims())
    for end in range(0, len(good), 3):
        yield _with_token(f"Bearer {good[:end]}", 401)
    for at in range(0, len(good) - 1, 2):  # the last letter carries bits that do not count
        other = "A" if good[at] != "A" else "B"
        yield _with_token(f"Bearer {good[:at]}{other}{good[at + 1 :]}", 401)
    yield from _unsigned()
    for scheme in ("", "Basic ", "Bearer\t", "Bearer  ", "Token ", "Bearer Bearer ", "Bearer,"):
        yield _with_token(scheme + good, 401)
    for before, after in (
        ("", f",{good}"),
        ("", f" {good}"),
        (".", ""),
        ("", ".x"),
        ("", "="),
        ("", "\r\nX: 1"),
        ("", "é"),
    ):
        yield _with_token(f"Bearer {before}{good}{after}", 401)


_NOT_OURS: tuple[Any, ...] = (
    *("none", "None", "NONE", "nOnE", "", None),
    *("ES256K", "EdDSA", "RS384", "dir", ["ES384"], {}),
)


def _unsigned() -> Iterator[Attempt]:
    """The public key as a secret, and no key at all."""
    pem, jwk = RSA.as_pem(private=False), json.dumps(public(RSA)["keys"][0]).encode()
    for secret in (pem, pem.strip(), jwk, base64.urlsafe_b64decode(f"{RSA.as_dict()['n']}==")):
        for name in ("HS256", "HS384", "HS512"):
            head = header(alg=name, kid="rsa-1")
            message = signed(head, good_claims()).rpartition(".")[0]
            signature = hmac.digest(secret, message.encode(), f"sha{name[2:]}")
            yield _with_token(f"Bearer {message}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}", 401)
    for algorithm in _NOT_OURS:
        parts = signed(header(alg=algorithm), good_claims()).split(".")
        yield _with_token(f"Bearer {'.'.join(parts)}", 401)
        yield _with_token(f"Bearer {'.'.join(parts[:2])}.", 401)
    for claim in ("A", "AAAA", "bnVsbA", "W10", "Ww" * 3000):
        yield _with_token(f"Bearer {claim}.{claim}.{claim}", 401)


def odd_tokens() -> Iterator[Attempt]:
    """Tokens that the EHR has signed in earnest, with one odd value in them."""
    for told in hostile_changes(good_claims()):
        yield _with_token(f"Bearer {signed(header(), told)}", 200, 401)
    for head in hostile_changes(header()):
        yield _with_token(f"Bearer {signed(head, good_claims())}", 200, 401)
    for extra in ({"crit": ["exp"]}, {"b64": False}, {"jku": "https://evil.example"}, {"jwk": public(EC)["keys"][0]}):
        yield _with_token(f"Bearer {signed(header(**extra), good_claims())}", 200, 401)


def accepted_token() -> Attempt:
    """One that is let in: without it every refusal would prove nothing."""
    return _with_token(call(aud=PUBLIC_URL + URL, jti=f"{MARK}-{next(_NUMBERS)}"), 200)
