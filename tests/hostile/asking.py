"""Hostile calls to the whole application in this process, each judged as it is answered."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from cds.operations.sign_of_life import LASTS, SCHEDULE, checked_model
from cds.store.audit import AuditTrail
from cds.store.cards import CardRecords
from cds.store.runs import RunRecords
from cds.store.seen_tokens import SeenTokens
from cds.store.store import Store
from cds.trust.clients import ClientTrust
from cds.web.app import Front, create_app
from cds.web.limits import FrontLimits
from hooks import SERVICES
from tests.cds.builders import MODEL, claimed, new_exam, scored
from tests.cds.trust.callers import PUBLIC_URL, client
from tests.cds.web.conftest import Service
from tests.hostile.judging import Answer, complaints
from tests.hostile.women import WOMEN, Woman

LONGEST_S = 20
"""For one call in this process; thousands of times what any takes."""
NO_HURRY = Front(limits=FrontLimits(calls_per_minute=1_000_000_000))

ORDER_SELECT, ORDER_SIGN, PATIENT_VIEW = SERVICES
URLS = {service.hook: f"/cds-services/{service.id}" for service in SERVICES}
ROUTES = ("/cds-services", "/healthz", "/readyz", *URLS.values(), *(f"{url}/feedback" for url in URLS.values()))


@dataclass(frozen=True)
class Attempt:
    """One hostile call, whose woman's it claims to be, and with what it may be answered; None is anything but 5xx."""

    path: str
    options: dict[str, Any] = field(repr=False)
    about: Woman | None = None
    method: str = "POST"
    statuses: frozenset[int] | None = None


def posting(path: str, body: Any, about: Woman | None = None, *statuses: int) -> Attempt:
    """A call with this JSON as its body."""
    sent = {"data": json.dumps(body).encode(), "content_type": "application/json"}
    return Attempt(path, sent, about, statuses=frozenset(statuses) or None)


@dataclass
class Hostility:
    """Makes calls, counts them, and remembers the first ones that were answered wrongly."""

    client: FlaskClient
    log: pytest.LogCaptureFixture
    made: int = 0
    wrong: list[str] = field(default_factory=list)

    def make(self, attempt: Attempt) -> Answer:
        """Make one call."""
        self.made += 1
        self.log.clear()
        with in_time():
            response = self.client.open(attempt.path, method=attempt.method, **attempt.options)
        answer = Answer(response.status_code, dict(response.headers), response.data, attempt.method)
        found = complaints(answer, attempt.about, self.log.text)
        if attempt.statuses is not None and answer.status not in attempt.statuses:
            found.append(f"status {answer.status}, not {sorted(attempt.statuses)}")
        if found:
            sent = str(attempt.options.get("data", attempt.options))
            self.wrong.append(f"{attempt.method} {attempt.path[:200]} {found} {sent[:3000]}")
        return answer


@contextmanager
def in_time() -> Iterator[None]:
    """A block that does not end is stopped, and that is a TimeoutError."""

    def stop(_signal: int, _frame: object) -> None:
        raise TimeoutError(f"no answer in {LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def hostility(engine: Engine, log: pytest.LogCaptureFixture, guarded: bool = False) -> Hostility:
    """A site where both women are scored, which answers anybody or, where it is `guarded`, its EHR alone."""
    log.set_level(logging.DEBUG)
    return Hostility(app_of_two_women(engine, guarded).test_client(), log)


def app_of_two_women(engine: Engine, guarded: bool = False, front: Front = NO_HURRY) -> Flask:
    """The whole application over a store in which both women are scored."""
    service = Service(Store(engine), CardRecords(engine), AuditTrail(engine), engine, budget_s=0)
    for woman in WOMEN:
        exam = new_exam(woman.study_uid, woman.id, patient_identifiers=(woman.mrn,))
        service.store.register([exam], MODEL.key, service.clock())
        service.store.save_score(claimed(service.store, service.clock()), scored(woman.study_uid, woman.five_year))
    for name in (checked_model(MODEL.key), SCHEDULE):
        RunRecords(engine).sign(name, "worker", service.clock(), LASTS)
    parts = service.parts()
    if guarded:
        parts = replace(parts, trust=ClientTrust([client()], SeenTokens(engine)), public_url=PUBLIC_URL)
    return create_app(parts, front)
