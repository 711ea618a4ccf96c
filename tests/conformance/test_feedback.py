"""Section 8 of the checklist: what became of the cards of every service."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from cds.store.tables import Feedback
from tests.cds.builders import Json
from tests.cds.web.conftest import Service
from tests.conformance.calls import CALLS, address, whole

AT = "2026-05-20T23:31:00Z"
DECLINED = {"code": "patient-declined", "system": "urn:mammotrend:override-reason", "display": "Patient declines"}
every_service = pytest.mark.parametrize("service_id", CALLS)


@pytest.fixture(autouse=True)
def _scored(service: Service) -> None:
    """Every call of these tests is about a woman over the threshold."""
    service.score()


def shown(service: Service, service_id: str) -> Json:
    """A card with two suggestions."""
    (card,) = service.client().post(address(service_id), json=whole(service_id)).get_json()["cards"]
    assert len(card["suggestions"]) == 2
    found: Json = card
    return found


def overridden(card: Json, **more: Any) -> Json:
    return {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": AT, **more}


def accepted(card: Json, *suggestions: Json) -> Json:
    chosen = [{"id": suggestion["uuid"]} for suggestion in suggestions]
    return {"card": card["uuid"], "outcome": "accepted", "outcomeTimestamp": AT, "acceptedSuggestions": chosen}


def tell(service: Service, service_id: str, *reports: Json) -> Any:
    return service.client().post(f"{address(service_id)}/feedback", json={"feedback": list(reports)})


def kept(engine: Engine) -> list[tuple[str, str, str | None]]:
    with Session(engine) as session:
        return [(row.card, row.outcome, row.override_reason) for row in session.exec(select(Feedback))]


@every_service
def test_B1_B6_feedback_is_taken_in_for_every_service_with_200_and_an_empty_object(
    service: Service, service_id: str
) -> None:
    card = shown(service, service_id)

    answer = tell(service, service_id, accepted(card, *card["suggestions"]))

    assert (answer.status_code, answer.get_json()) == (200, {})


@every_service
def test_B2_what_was_accepted_and_why_it_was_not_is_kept(service: Service, service_id: str, engine: Engine) -> None:
    card = shown(service, service_id)
    why = {"overrideReason": {"reason": DECLINED, "userComment": "later"}}
    later = f"{AT[:-1]}.5Z"

    for report in (accepted(card, *card["suggestions"]), overridden(card, **why, outcomeTimestamp=later)):
        assert tell(service, service_id, report).status_code == 200

    with Session(engine) as session:
        taken, declined = session.exec(select(Feedback)).all()
    assert (taken.card, taken.outcome, taken.outcome_at) == (card["uuid"], "accepted", AT)
    assert taken.accepted == [suggestion["uuid"] for suggestion in card["suggestions"]]
    assert (declined.card, declined.outcome, declined.outcome_at) == (card["uuid"], "overridden", later)
    assert (declined.override_reason, declined.comment) == ("patient-declined", "later")


@every_service
def test_B3_several_cards_of_several_calls_may_come_together_and_again(
    service: Service, service_id: str, engine: Engine
) -> None:
    cards = [shown(service, one) for one in CALLS if one != service_id] + [shown(service, service_id)]
    reports = [overridden(card) for card in cards]

    for _ in range(3):
        assert tell(service, service_id, *reports, reports[0]).status_code == 200

    assert sorted(card for card, _, _ in kept(engine)) == sorted(card["uuid"] for card in cards)


def test_B4_every_card_of_every_service_can_be_reported_on(cards: list[Json]) -> None:
    reportable = [one["uuid"] for card in cards for one in (card, *card.get("suggestions", []))]

    assert all(isinstance(uuid, str) and uuid for uuid in reportable)


@every_service
@pytest.mark.parametrize(
    "why",
    [
        {"overrideReasons": [{"reason": DECLINED, "extension": {"com.epic.reason": "text"}}]},
        {"overrideReasons": {"reason": DECLINED}},
        {"overrideReason": {"reason": {"code": DECLINED["code"], "system": DECLINED["system"]}}},
    ],
)
def test_B7_the_reason_is_read_as_epic_and_as_the_sandbox_write_it(
    service: Service, service_id: str, why: Json, engine: Engine
) -> None:
    card = shown(service, service_id)

    assert tell(service, service_id, overridden(card, **why)).status_code == 200
    assert kept(engine) == [(card["uuid"], "overridden", "patient-declined")]
