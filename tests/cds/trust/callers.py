"""EHRs with real keys, the tokens that they sign, and a server for their public keys."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import Flask, Response, request
from joserfc.jwk import ECKey, Key, RSAKey
from joserfc.jws import JWSRegistry

from cds.trust.clients import Client
from cds.trust.key_set import PublicKey, public_keys
from tests.cds.builders import EHR, NOW

EC = ECKey.generate_key("P-384", {"kid": "ec-1"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"})
ISSUER = "https://ehr.example/r4"
PUBLIC_URL = "https://cds.example/mammo"
AUDIENCE = f"{PUBLIC_URL}/cds-services/breast-risk-order-select"
LEFT_OUT = object()


def public(*keys: PublicKey, **changes: Any) -> dict[str, Any]:
    """The JWK Set of these keys' public halves, with changes to each of them."""
    return {"keys": [{**key.as_dict(private=False), **changes} for key in keys]}


def written(content: object) -> bytes:
    """JSON as a server would send it."""
    return json.dumps(content).encode()


@dataclass
class KnownKeys:
    """A KeySource that has what it is given, and remembers what it was asked for."""

    keys: dict[str, PublicKey]
    asked: list[str] = field(default_factory=list)

    def key(self, key_id: str) -> PublicKey | None:
        """The key, if it is one of them."""
        self.asked.append(key_id)
        return self.keys.get(key_id)


@dataclass
class Remembered:
    """A TokenMemory for one process."""

    tokens: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def remember(self, issuer: str, jti: str, until: datetime, now: datetime) -> bool:
        """Whether it is new."""
        is_new = (issuer, jti) not in self.tokens
        self.tokens.setdefault((issuer, jti), until)
        return is_new


def keys(*these: PublicKey, **changes: Any) -> KnownKeys:
    """The public halves of these keys, by `kid`."""
    return KnownKeys(public_keys(written(public(*these, **changes))))


def client(**changes: Any) -> Client:
    """The EHR of ISSUER, which signs with EC and RSA."""
    return Client(**{"ehr": EHR, "issuer": ISSUER, "keys": keys(EC, RSA), **changes})


def claims(**changes: Any) -> dict[str, Any]:
    """What a token says that is for AUDIENCE now; LEFT_OUT takes a claim out."""
    now_s = int(NOW.timestamp())
    usual = {"iss": ISSUER, "aud": AUDIENCE, "iat": now_s, "exp": now_s + 300, "jti": "token-1"}
    return _changed(usual, changes)


def header(**changes: Any) -> dict[str, Any]:
    """The header of a token that EC signs; LEFT_OUT takes a member out."""
    return _changed({"alg": "ES384", "kid": "ec-1", "typ": "JWT"}, changes)


def signed(header: object, claims: object, key: Key = EC, algorithm: str = "ES384") -> str:
    """A token with this header and these claims, whatever they are, signed in earnest."""
    message = b".".join(_base64(written(part)) for part in (header, claims))
    signature = JWSRegistry.algorithms[algorithm].sign(message, key)
    return b".".join([message, _base64(signature)]).decode()


def bearer(token: str) -> str:
    """The Authorization header that carries the token."""
    return f"Bearer {token}"


def call(**changes: Any) -> str:
    """The Authorization header of a good call, with changes to its claims."""
    return bearer(signed(header(), claims(**changes)))


class KeyServer:
    """An EHR's key set over HTTP, which counts how often it is asked and can be told to fail."""

    def __init__(self, *these: PublicKey) -> None:
        self.body: bytes = written(public(*these))
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked: list[dict[str, str]] = []
        self.may_answer, self.may_end = threading.Event(), threading.Event()
        self.may_answer.set()
        self.may_end.set()

    def app(self) -> Flask:
        """The WSGI app; every path is the key set, so that a redirect would be seen."""
        app = Flask("key server")
        app.add_url_rule("/<path:path>", view_func=self._answer)
        return app

    def _answer(self, path: str) -> Response:
        self.asked.append(dict(request.headers) | {"path": path})
        assert self.may_answer.wait(30)
        body = self.body if self.may_end.is_set() else self._halting()
        return Response(body, self.status, self.headers)

    def _halting(self) -> Iterator[bytes]:
        yield self.body[:100]
        assert self.may_end.wait(30)
        yield self.body[100:]


def _changed(usual: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**usual, **changes}.items() if value is not LEFT_OUT}


def _base64(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def without(content: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The same without some of its members."""
    return {name: value for name, value in content.items() if name not in names}
