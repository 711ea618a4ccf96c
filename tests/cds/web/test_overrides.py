"""A card that a clinician overrode with a reason rests, over HTTP and in the store."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from cds.store.audit import AuditTrail
from fhir_mappings.access_events import Action
from model.domain import STANDARD_VIEWS, Exclusion, ExclusionReason, Provenance, RefusedExam, SourceImage
from tests.cds.builders import MODEL, claimed, new_exam, refused, scored
from tests.cds.web.calls import full
from tests.cds.web.conftest import URL, Service

REASON = {"reason": {"code": "patient-declined", "system": "urn:x"}}


def override(service: Service, uuid: str, **said: Any) -> None:
    given = {"card": uuid, "outcome": "overridden", "outcomeTimestamp": "2026-05-20T23:31:00Z", **said}
    assert service.client().post(f"{URL}/feedback", json={"feedback": [given]}).status_code == 200


@pytest.mark.parametrize(
    "said",
    [
        {"overrideReason": REASON},
        {"overrideReasons": [REASON]},
        {"overrideReasons": [{"reason": {"display": "of no code"}}, REASON]},
        {"overrideReason": {"userComment": "seen elsewhere"}},
    ],
)
def test_an_override_with_a_reason_is_heard_for_90_days(service: Service, said: dict[str, Any]) -> None:
    service.score()
    (card,) = service.cards(full())

    override(service, card["uuid"], **said)

    assert service.cards(full()) == []
    service.clock.advance(timedelta(days=91))
    assert len(service.cards(full())) == 1


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"overrideReason": {"userComment": ""}},
        {"overrideReason": {"reason": {"code": " ", "system": "", "display": ""}, "userComment": " \n"}},
        {"overrideReasons": [{"reason": {"code": ""}}, {}]},
    ],
)
def test_an_override_without_a_reason_changes_nothing(service: Service, said: dict[str, Any]) -> None:
    service.score()
    (card,) = service.cards(full())
    override(service, card["uuid"], **said)
    assert len(service.cards(full())) == 1


def test_an_override_is_of_the_score_that_was_shown_and_not_of_the_next_one_of_the_same_exam(service: Service) -> None:
    service.score(five_year=0.018)
    (card,) = service.cards(full())
    override(service, card["uuid"], overrideReason=REASON)
    service.clock.advance(timedelta(hours=1))
    service.store.reopen_study("1.2.1", service.clock())
    replaced = Provenance((SourceImage(STANDARD_VIEWS[0], "1.2.1.9", "another"),))
    rescored = scored(five_year=0.12, scored_at=service.clock(), provenance=replaced)
    service.store.save_score(claimed(service.store, service.clock()), rescored)

    shown = [service.cards(full()) for _ in range(2)]

    assert ["12.0 %" in one["summary"] for (one,) in shown] == [True, True]
    override(service, shown[0][0]["uuid"], overrideReason=REASON)
    assert service.cards(full()) == []


def test_what_is_to_be_decided_later_rests_for_the_clinics_day_and_no_longer(service: Service) -> None:
    service.score()
    (card,) = service.cards(full())
    override(service, card["uuid"], overrideReason={"reason": {"code": "decide-later"}, "userComment": "call her"})

    service.clock.advance(timedelta(minutes=3))
    assert service.cards(full()) == []
    service.clock.advance(timedelta(hours=1))
    (again,) = service.cards(full())

    override(service, again["uuid"], overrideReason=REASON)
    override(service, again["uuid"], outcomeTimestamp="later", overrideReason={"reason": {"code": "decide-later"}})
    service.clock.advance(timedelta(days=60))
    assert service.cards(full()) == []


def refuse(service: Service, *exclusions: Exclusion) -> None:
    job = claimed(service.store, service.clock())
    service.store.save_refusal(job, RefusedExam("1.2.1", date(2026, 5, 3), exclusions), service.clock())


def test_an_exam_that_cannot_be_scored_for_another_reason_than_was_overridden_is_told_again(service: Service) -> None:
    service.store.register([new_exam("1.2.1", performed_on=date(2026, 5, 3))], MODEL.key, service.clock())
    refuse(service, *(three_views := refused("1.2.1").exclusions))
    (card,) = service.cards(full())
    override(service, card["uuid"], overrideReason=REASON)
    assert service.cards(full()) == []

    service.store.reopen_study("1.2.1", service.clock())
    refuse(service, Exclusion(ExclusionReason.MIXED_PATIENTS, "The images carry different patient IDs."))
    (other,) = service.cards(full())
    assert other["summary"].endswith("cannot be scored: The images carry different patient IDs")

    service.store.reopen_study("1.2.1", service.clock())
    refuse(service, *three_views)
    assert service.cards(full()) == []


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
