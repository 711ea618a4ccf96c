"""Calls that are refused: for their token, for their body, for their address, and because they are no HTTP."""

from __future__ import annotations

import time

from joserfc.jwk import ECKey

from tests.logs.ehr_side import EhrSide, path
from tests.logs.hospital import REFUSED, SCORED
from tests.logs.told import ACCESS_TOKEN, COMMENT

NAME = "Zephyrine Quixotina"
ASKED = f"?patient={SCORED}&name=Zephyrine%20Quixotina&token={ACCESS_TOKEN}"


def bad_calls(ehr: EhrSide) -> None:
    """All of them, each of which says in some place whom it is about."""
    _untrusted_calls(ehr)
    _bad_bodies(ehr)
    _bad_addresses(ehr)
    _no_http(ehr)


def _untrusted_calls(ehr: EhrSide) -> None:
    """Every way in which a token can be no good, and none."""
    body, once = ehr.body(SCORED), ehr.token(path())
    assert ehr.send(path(), body, once)[0] == 200
    for token in (None, once, *_no_tokens(ehr), *_wrong_tokens(ehr)):
        status, answer = ehr.send(path(), body, token)
        assert (status, answer) == (401, {}), token


def _no_tokens(ehr: EhrSide) -> tuple[str, ...]:
    told = ehr.hospital.told
    return (
        f"Bearer {told.keep('no JWT', ACCESS_TOKEN + SCORED)}",
        f"Basic {told.keep('a password', 'cXV4b3RpbmE6c2VjcmV0')}",
    )


def _wrong_tokens(ehr: EhrSide) -> tuple[str, ...]:
    told, now = ehr.hospital.told, int(time.time())
    return (
        ehr.token(path(), ECKey.generate_key("P-384")),
        ehr.token(path(), exp=now - 3600),
        ehr.token(path(), iat=now + 3600),
        ehr.token(path(), iss=f"https://{SCORED}.example/Quixotina"),
        ehr.token(path(), aud=f"https://elsewhere.example/{SCORED}"),
        ehr.token(path(), sub=[SCORED]),
        ehr.token(path(), tenant=told.keep("another tenant", f"tenant-of-{SCORED}")),
        ehr.token(path(), head={"kid": told.keep("an unknown key", f"kid-of-{SCORED}")}),
        ehr.token(path(), head={"jku": f"https://keys.example/{SCORED}"}),
        ehr.token(path(), head={"alg": "none"}),
    )


def _bad_bodies(ehr: EhrSide) -> None:
    body, token = ehr.body(SCORED), f"{ACCESS_TOKEN} Quixotina"
    context, leave = body["context"], body["fhirAuthorization"]
    begun = f'{{"hook": "order-select", "context": {{"patientId": "{NAME}"'.encode()
    bodies: tuple[tuple[object, int], ...] = (
        (begun, 400),
        (begun + b', "patientId": "Brunhilde"}}', 400),
        ([SCORED], 400),
        ({**body, "hook": SCORED}, 400),
        ({**body, "context": {**context, "patientId": f"{NAME}?name=Quixotina"}}, 400),
        ({**body, "context": {**context, "userId": None}}, 400),
        ({**body, "fhirServer": f"http://localhost:9/{SCORED}/Quixotina"}, 403),
        ({**body, "fhirAuthorization": {**leave, "patient": REFUSED}}, 400),
        ({**body, "fhirAuthorization": {"access_token": token}}, 400),
    )
    for wrong, status in bodies:
        assert ehr.send(path(), wrong, ehr.token(path()))[0] == status, wrong
    assert ehr.send(path(), NAME.encode(), ehr.token(path()), Content_Type="text/plain")[0] == 415
    to = f"{path()}/feedback"
    assert ehr.send(to, {"feedback": [{"card": SCORED, "outcome": COMMENT}]}, ehr.token(to))[0] == 400


def _bad_addresses(ehr: EhrSide) -> None:
    """And one that is only told more than it asks for."""
    body = ehr.body(SCORED)
    calls = (("POST", path(), 200), ("GET", path(), 405), ("DELETE", f"/{SCORED}", 404))
    for method, to, status in (*calls, ("POST", f"/cds-services/{SCORED}", 404)):
        assert ehr.send(f"{to}{ASKED}", body, ehr.token(to), method)[0] == status, (method, to)


def _no_http(ehr: EhrSide) -> None:
    head = f"POST /{SCORED}{ASKED} HTTP/1.1\r\n{NAME}: {ACCESS_TOKEN}\r\n"
    for further in ("", "Content-Length: Quixotina\r\n", "Transfer-Encoding: Quixotina\r\n", "Content-Length: 99\r\n"):
        ehr.send_raw(f"{head}{further}\r\n".encode())
    ehr.send_raw(f"{SCORED} {NAME} {ACCESS_TOKEN}\r\n\r\n".encode())
    ehr.send_raw(f"GET /x HTTP/1.1\r\nX-Quixotina: {'Quixotina' * 9000}\r\n\r\n".encode())
