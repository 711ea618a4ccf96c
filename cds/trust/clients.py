"""Which EHR a call is from: its token held against what the site has agreed with each EHR.

CDS Hooks 2.0.1, sections "Trusting CDS Clients" and "Security Best Practices"; RFC 7519 for the claims.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from cds.errors import CallerNotTrusted, Distrust, SettingsError
from cds.trust.key_set import PublicKey
from cds.trust.token import Token, read_token

ASYMMETRIC = frozenset(f"{kind}{bits}" for kind in ("ES", "RS", "PS") for bits in (256, 384, 512))
RECOMMENDED = ("ES384", "RS384")
LONGEST_TOKEN_ID = 255


class KeySource(Protocol):
    """Where the public keys of a caller come from."""

    def key(self, key_id: str) -> PublicKey | None:
        """The key of this `kid`, or None if the caller has no such key; CallerKeysUnread where that cannot be told."""
        ...


class TokenMemory(Protocol):
    """What remembers the tokens that were accepted, for all processes together."""

    def remember(self, issuer: str, jti: str, until: datetime, now: datetime) -> bool:
        """Remember a token; False where it was seen before."""
        ...


@dataclass(frozen=True)
class Client:
    """What the site has agreed with one EHR: how its tokens are told, and from where its keys come.

    `key_address` is the one address that a token may name as that of its keys; None where they were handed over, and a
    token may then name what it likes: it is not looked up. Without `tenants` that claim does not matter.
    """

    ehr: str
    issuer: str
    keys: KeySource = field(repr=False)
    key_address: str | None = None
    algorithms: tuple[str, ...] = RECOMMENDED
    tenants: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = sorted(set(self.algorithms) - ASYMMETRIC)
        if wrong or not self.algorithms:
            raise SettingsError(
                f"the algorithms of {self.ehr!r} must be among {', '.join(sorted(ASYMMETRIC))}"
                + (f", not {', '.join(wrong)}" if wrong else "")
            )


@dataclass(frozen=True)
class VerifiedCall:
    """Whose call it is; `subject` and `tenant` as its token says, which is `jti` and would be accepted `until` then."""

    ehr: str
    issuer: str
    jti: str = field(repr=False)
    until: datetime
    subject: str | None = field(default=None, repr=False)
    tenant: str | None = None


class ClientTrust:
    """Tells the callers of a site by their tokens, each of which is good once. Safe for several threads."""

    def __init__(
        self,
        clients: Sequence[Client],
        seen: TokenMemory,
        skew: timedelta = timedelta(seconds=60),
        longest_lifetime: timedelta = timedelta(hours=1),
    ) -> None:
        twice = [issuer for issuer, times in Counter(client.issuer for client in clients).items() if times > 1]
        if twice:
            raise SettingsError(f"the issuer {twice[0]!r} belongs to two EHRs; each needs its own")
        self._clients = {client.issuer: client for client in clients}
        self._seen = seen
        self._skew_s = skew.total_seconds()
        self._longest_s = longest_lifetime.total_seconds()

    def verify(self, authorization: str | None, audience: str, now: datetime) -> VerifiedCall:
        """Whose call it is, by its Authorization header; `audience` is the public address of what was called.

        The token is good for one call, which `use_up` is for. Raises CallerNotTrusted, or CallerKeysUnread where it
        cannot be told whose the call is.
        """
        token = read_token(authorization)
        client = self._named(token)
        problem = next(self._problems(token, client, audience, now.timestamp()), None)
        if problem is not None:
            raise CallerNotTrusted(problem, client.issuer)
        claims = token.claims
        until = datetime.fromtimestamp(claims["exp"] + self._skew_s, UTC)
        return VerifiedCall(client.ehr, client.issuer, claims["jti"], until, claims.get("sub"), claims.get("tenant"))

    def use_up(self, call: VerifiedCall, now: datetime) -> None:
        """Remember its token as long as it would be accepted; raises CallerNotTrusted where it came before."""
        if not self._seen.remember(call.issuer, call.jti, call.until, now):
            raise CallerNotTrusted(Distrust.REPLAYED, call.issuer)

    def _named(self, token: Token) -> Client:
        issuer = token.claims.get("iss")
        if not isinstance(issuer, str) or issuer not in self._clients:
            raise CallerNotTrusted(Distrust.ISSUER)
        return self._clients[issuer]

    def _problems(self, token: Token, client: Client, audience: str, now_s: float) -> Iterator[Distrust]:
        """What is wrong, one after the other: the signature last, so that keys are asked for only by what fits."""
        claims = token.claims
        if not _is_jwt(token.header.get("typ")):
            yield Distrust.TYPE
        if not _names(claims.get("aud"), audience):
            yield Distrust.AUDIENCE
        yield from self._untimely(claims, now_s)
        if not _is_of(claims.get("tenant"), client.tenants):
            yield Distrust.TENANT
        if not isinstance(claims.get("sub"), str | None):
            yield Distrust.SUBJECT
        if not _is_token_id(claims.get("jti")):
            yield Distrust.JTI
        yield from _forged(token, client)

    def _untimely(self, claims: dict[str, Any], now_s: float) -> Iterator[Distrust]:
        """What does not fit this moment; a time that is missing or is none never fits."""
        expires_s, issued_s = _seconds(claims.get("exp")), _seconds(claims.get("iat"))
        if not expires_s > now_s - self._skew_s:
            yield Distrust.EXPIRED
        if not expires_s <= now_s + self._longest_s + self._skew_s:
            yield Distrust.LIFETIME
        if not issued_s <= now_s + self._skew_s:
            yield Distrust.ISSUED_AT
        if "nbf" in claims and not _seconds(claims["nbf"]) <= now_s + self._skew_s:
            yield Distrust.NOT_BEFORE


def _forged(token: Token, client: Client) -> Iterator[Distrust]:
    """What speaks against the signature: its algorithm is one that we chose, and its key one that the EHR gave us."""
    algorithm, key_id = token.header.get("alg"), token.header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in client.algorithms:
        yield Distrust.ALGORITHM
        return
    if client.key_address is not None and token.header.get("jku", client.key_address) != client.key_address:
        yield Distrust.KEY_ADDRESS
    key = client.keys.key(key_id) if isinstance(key_id, str) else None
    if key is None:
        yield Distrust.KEY_ID
        return
    if key.get("alg", algorithm) != algorithm:
        yield Distrust.ALGORITHM
    if not token.is_signed_by(key, algorithm):
        yield Distrust.SIGNATURE


def _is_jwt(kind: object) -> bool:
    # RFC 7515, section 4.1.9: a media type, whose case does not matter.
    return isinstance(kind, str) and kind.upper() == "JWT"


def _names(told: object, audience: str) -> bool:
    """Whether `aud`, an address or a list of them, names ours; one slash at the end makes no difference."""
    named = told if isinstance(told, list) else [told]
    wanted = audience.removesuffix("/")
    return any(isinstance(one, str) and one.removesuffix("/") == wanted for one in named)


def _is_of(tenant: object, tenants: tuple[str, ...]) -> bool:
    return tenant in tenants if tenants else isinstance(tenant, str | None)


def _is_token_id(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_TOKEN_ID


def _seconds(value: object) -> float:
    """A NumericDate (RFC 7519, section 2); NaN, which compares with nothing, for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        return math.nan
    return float(value)
