"""Each thing that no answer may hold is found where it is planted, and a right answer is not complained of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cds.web.browsers import SECURITY_HEADERS
from tests.hostile.judging import Answer, complaints
from tests.hostile.women import ADA, BERTA, HOSTILE_VALUE

HERS = {"cards": [{"detail": "6.6 %", "resource": {"subject": {"reference": f"Patient/{ADA.id}"}}}]}


def answer(body: Any = HERS, status: int = 200, headers: Mapping[str, str] = {}) -> Answer:
    """An answer in which all is well, but for the changes."""
    return Answer(status, {**SECURITY_HEADERS, **headers}, json.dumps(body).encode())


def test_her_own_reference_in_her_own_answer_is_right() -> None:
    assert complaints(answer(), ADA, "breast-risk-order-select: no card") == []
    assert complaints(Answer(401, SECURITY_HEADERS, b""), ADA, "") == []
    assert complaints(Answer(200, SECURITY_HEADERS, b"", "OPTIONS"), None, "") == []


@pytest.mark.parametrize(
    "planted",
    [
        answer(status=500),
        answer(status=503),
        answer(status=400),
        answer({"cards": [ADA.id]}),
        answer({ADA.id: 1}),
        answer({"reference": ADA.token, "cards": f"see {ADA.token}"}),
        answer({"reference": f"Patient/{BERTA.id}"}),
        answer({"cards": [f"{BERTA.shown} %"]}),
        answer({"diagnostics": HOSTILE_VALUE}, 400),
        answer({"diagnostics": "Traceback (most recent call last)"}, 400),
        answer({"diagnostics": "at /usr/lib/x"}, 400),
        answer({"diagnostics": "ValueError"}, 400),
        answer({}, headers={"Server": "waitress"}),
        answer({}, headers={"Location": f"/{HOSTILE_VALUE}"}),
        answer({}, headers={"Cache-Control": "public"}),
        replace(answer(), body=b"<html>"),
        replace(answer(), body=b'{"a": NaN}'),
        replace(answer(), body=b""),
        replace(answer(), body=f"{{{HOSTILE_VALUE}".encode()),
    ],
)
def test_what_no_answer_may_hold_is_found(planted: Answer) -> None:
    assert complaints(planted, ADA, "")


@pytest.mark.parametrize("log", [ADA.mrn, "Traceback", "an unforeseen fault: KeyError"])
def test_what_the_log_may_not_hold_is_found(log: str) -> None:
    assert complaints(answer(), ADA, log)
