"""What a hospital sends: hook calls with all, some or nothing of their prefetch, and feedback, each with its token."""

from __future__ import annotations

import json
import random
import time
import uuid
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from itertools import count

from cds.demo.resources import order_select
from tests.builders import operation_outcome, searchset
from tests.cds.builders import Json
from tests.cds.trust.callers import bearer, signed
from tests.soak.hospitals import Hospital
from tests.soak.women import Woman

PUBLIC_URL = "https://cds.example/mammo"
SERVICES = ("order-select", "order-sign", "patient-view")
NO_ANSWER_S = 30.0
"""A call that takes longer hangs."""


@dataclass(frozen=True)
class Answer:
    """The status and the body of an answer, and how long it took."""

    status: int
    body: Json
    took_s: float


@dataclass(frozen=True)
class HookCall:
    """One call about a woman; `brings` says how much of its prefetch is with it: all, some or nothing."""

    service: str
    woman: Woman
    brings: str
    body: Json

    @property
    def path(self) -> str:
        """The path of the service."""
        return f"/cds-services/breast-risk-{self.service}"


class Line:
    """A hospital's connection to the service. Every token is used once, and numbered as in every other hospital."""

    def __init__(self, port: int, hospital: Hospital, chance: random.Random) -> None:
        self._hospital, self._chance, self._numbers = hospital, chance, count(1)
        self._connection = HTTPConnection("127.0.0.1", port, timeout=NO_ANSWER_S)

    def post(self, path: str, body: Json, authorization: str | None = None) -> Answer:
        """The answer; raises OSError or HTTPException where there is none."""
        began = time.monotonic()
        self._send(path, body, authorization)
        response = self._connection.getresponse()
        content = response.read()
        took = time.monotonic() - began
        if self._chance.random() < 0.1:
            self.close()
        return Answer(response.status, json.loads(content) if content else {}, took)

    def post_and_hang_up(self, path: str, body: Json) -> None:
        """Send it and be gone before the answer."""
        self._send(path, body, None)
        self.close()

    def token(self, path: str, hospital: Hospital | None = None) -> str:
        """A new token for this path, signed with our own key; it says to be of another hospital where one is named."""
        now = int(time.time())
        issuer = (hospital or self._hospital).issuer
        claims = {"iss": issuer, "aud": f"{PUBLIC_URL}{path}", "iat": now, "exp": now + 300}
        written = {**claims, "jti": f"call-{next(self._numbers)}", "sub": "ehr"}
        return bearer(signed({"alg": "ES384", "kid": "key-1", "typ": "JWT"}, written, self._hospital.key))

    def close(self) -> None:
        """End the connection; the next call opens another."""
        self._connection.close()

    def _send(self, path: str, body: Json, authorization: str | None) -> None:
        headers = {"Content-Type": "application/json", "Authorization": authorization or self.token(path)}
        try:
            self._connection.request("POST", path, json.dumps(body), headers)
        except (OSError, HTTPException):
            # A connection that the server has closed since is only noticed here.
            self.close()
            self._connection.request("POST", path, json.dumps(body), headers)


def hook_call(hospital: Hospital, chance: random.Random) -> HookCall:
    """A call of any service about any woman of the hospital."""
    woman, service = chance.choice(hospital.women), chance.choice(SERVICES)
    (brings,) = chance.choices(("all", "some", "nothing"), (6, 3, 2))
    usual = order_select(woman.id, hospital.fhir_server, hospital.access_token)
    context = usual["context"] | {"userId": user(hospital), "encounterId": "e1"}
    body = {**usual, "hook": service, "hookInstance": str(uuid.uuid4()), "context": context}
    if brings != "nothing":
        body["prefetch"] = woman.prefetch() if brings == "all" else _some(hospital, woman, chance)
    return HookCall(service, woman, brings, body)


def user(hospital: Hospital) -> str:
    """Who calls: another one in each hospital."""
    return f"Practitioner/dr-of-h{hospital.number:02}"


def _some(hospital: Hospital, woman: Woman, chance: random.Random) -> Json:
    """Her prefetch with parts left out, failed, empty, cut short, or of another woman of the hospital."""
    whole, neighbour = woman.prefetch(), chance.choice(hospital.women).prefetch()
    for key in chance.sample(sorted(whole), chance.randint(1, 3)):
        flaw = chance.choice(("left out", "failed", "null", "cut short", "hers"))
        if flaw == "left out":
            del whole[key]
        elif flaw == "failed":
            whole[key] = operation_outcome()
        elif flaw == "null":
            whole[key] = None
        elif flaw == "cut short":
            link = [{"relation": "next", "url": f"{hospital.fhir_server}/ImagingStudy?page=2"}]
            whole[key] = searchset(link=link, total=9)
        else:
            whole[key] = neighbour[key]
    return whole
