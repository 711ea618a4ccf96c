"""A card that a clinician overrode with a reason rests, over HTTP and in the store."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from cds.store.audit import AuditTrail
from fhir_mappings.access_events import Action
from tests.cds.web.calls import full
from tests.cds.web.conftest import URL, Service

REASON = {"reason": {"code": "patient-declined", "system": "urn:x"}}


def override(service: Service, uuid: str, **said: Any) -> None:
    given = {"card": uuid, "outcome": "overridden", "outcomeTimestamp": "2026-05-20T23:31:00Z", **said}
    assert service.client().post(f"{URL}/feedback", json={"feedback": [given]}).status_code == 200


@pytest.mark.parametrize(
    "said",
    [{"overrideReason": REASON}, {"overrideReasons": [REASON]}, {"overrideReason": {"userComment": "seen elsewhere"}}],
)
def test_an_override_with_a_reason_is_heard_for_90_days(service: Service, said: dict[str, Any]) -> None:
    service.score()
    (card,) = service.cards(full())

    override(service, card["uuid"], **said)

    assert service.cards(full()) == []
    service.clock.advance(timedelta(days=91))
    assert len(service.cards(full())) == 1


def test_an_override_without_a_reason_changes_nothing(service: Service) -> None:
    service.score()
    (card,) = service.cards(full())
    override(service, card["uuid"])
    assert len(service.cards(full())) == 1


def test_every_answer_and_every_feedback_that_is_new_is_in_the_audit_trail(service: Service, engine: Engine) -> None:
    service.score()
    (card,) = service.cards(full())
    override(service, card["uuid"])
    override(service, card["uuid"])

    trail = AuditTrail(engine)
    told = [entry.event.action for entry in trail.entries()]
    assert told.count(Action.ANSWERED) == 1
    assert told.count(Action.FEEDBACK) == 1
    assert trail.verify().fault is None
