"""What the EHR sends to the service in the course of the day, good and bad, and what it is answered."""

from __future__ import annotations

import json
import socket
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from joserfc.jwk import ECKey

from cds.demo.resources import order_select
from tests.cds.builders import Json
from tests.cds.trust.callers import EC, bearer, header, signed
from tests.logs.hospital import Hospital
from tests.logs.told import ACCESS_TOKEN, ORDER, SUBJECT, TENANT, USER

PUBLIC_URL = "https://cds.example/mammo"
ISSUER = "https://ehr.example/issuer"
TIMEOUT_S = 30.0


@dataclass
class EhrSide:
    """An EHR with its key, connected to the service at a port."""

    hospital: Hospital
    port: int

    def call(self, patient_id: str, service: str = "order-select", **members: Any) -> tuple[int, Json]:
        """The answer to a hook call that is good but for the members given; None leaves one out."""
        return self.send(path(service), self.body(patient_id, service, **members), self.token(path(service)))

    def cards(self, patient_id: str, service: str = "order-select", **members: Any) -> list[Json]:
        """The cards of a call that must be answered."""
        status, answer = self.call(patient_id, service, **members)
        assert status == 200, answer
        cards: list[Json] = answer["cards"]
        for uuid_ in (one["uuid"] for card in cards for one in (card, *card.get("suggestions", []))):
            self._keep("a card's uuid", uuid_)
        return cards

    def body(self, patient_id: str, service: str = "order-select", **members: Any) -> Json:
        """A call without a prefetch."""
        usual = order_select(patient_id, f"{self.hospital.ehr.url}/r4", ACCESS_TOKEN)
        written = json.loads(json.dumps(usual).replace("draft-0", ORDER))
        context = {**written["context"], "userId": USER, "encounterId": self._keep("an encounter", _random("enc"))}
        instance = self._keep("a call's uuid", str(uuid.uuid4()))
        body = {**written, "hook": service, "hookInstance": instance, "context": context, **members}
        return {name: value for name, value in body.items() if value is not None}

    def token(self, for_path: str, key: ECKey = EC, head: Json | None = None, **changes: Any) -> str:
        """A token that is good but for the changes to its claims and its header."""
        now = int(time.time())
        usual = {"iss": ISSUER, "aud": PUBLIC_URL + for_path, "iat": now, "exp": now + 300, "sub": SUBJECT}
        claims = {**usual, "tenant": TENANT, "jti": self._keep("a jti", _random("jti")), **changes}
        token = signed({**header(), **(head or {})}, claims, key)
        self.hospital.told.hear(head, claims)
        for part in token.split(".")[1:]:
            self._keep("a part of a token", part)
        return bearer(token)

    def send(self, to: str, body: object, token: str | None, method: str = "POST", **heads: str) -> tuple[int, Json]:
        """The answer to any request; a body that is not bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        told = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in heads.items()}}
        told |= {"Authorization": token} if token else {}
        self.hospital.told.hear(method, to, told, content)
        line = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        line.request(method, to, content, told)
        with line.getresponse() as response:
            answer = response.read()
        line.close()
        self.hospital.told.hear(answer)
        return response.status, json.loads(answer) if answer else {}

    def send_raw(self, content: bytes) -> None:
        """Bytes that are not HTTP, or not all of a request, and the end of the connection by whoever ends it first."""
        self.hospital.told.hear(content)
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S) as line, suppress(ConnectionError):
            line.sendall(content)
            line.shutdown(socket.SHUT_WR)
            while line.recv(65536):
                pass

    def _keep(self, what: str, value: str) -> str:
        return self.hospital.told.keep(what, value)


def path(service: str = "order-select") -> str:
    """The path of a service."""
    return f"/cds-services/breast-risk-{service}"


def _random(kind: str) -> str:
    return f"{kind}-{uuid.uuid4()}"
