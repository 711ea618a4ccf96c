"""What clinicians did with cards is kept with the card, however often and however it is told."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from cds.store.tables import Feedback, ShownCard
from hooks.site import Mode
from tests.cds.builders import EHR, PATIENT
from tests.cds.web.calls import diagnostics, full
from tests.cds.web.conftest import URL, Service

AT = "2026-05-20T23:31:00Z"


def told(service: Service, *reports: Any, url: str = URL) -> Any:
    return service.client().post(f"{url}/feedback", json={"feedback": list(reports)})


def kept(engine: Engine) -> list[tuple[str, str, list[str], str | None]]:
    with Session(engine) as session:
        rows = session.exec(select(Feedback)).all()
        return [(row.card, row.outcome, row.accepted, row.override_reason) for row in rows]


@pytest.fixture
def card(service: Service) -> dict[str, Any]:
    """A card with a breast MRI order and a RiskAssessment to accept."""
    service.score()
    (shown,) = service.cards(full())
    return shown


def test_a_card_is_on_record_as_it_was_shown(service: Service, card: dict[str, Any], engine: Engine) -> None:
    with Session(engine) as session:
        (row,) = session.exec(select(ShownCard)).all()

    assert (row.uuid, row.summary, row.withheld) == (card["uuid"], card["summary"], None)
    assert (row.kind, row.detail) == ("mri-suggested", card["detail"])
    assert (row.ehr, row.patient_id, row.study_uid) == (EHR, PATIENT, "1.2.1")
    assert [one["resource"] for one in row.suggestions] == ["ServiceRequest", "RiskAssessment"]
    assert [one["uuid"] for one in row.suggestions] == [one["uuid"] for one in card["suggestions"]]


def test_in_silent_mode_the_card_that_would_have_been_shown_is_on_record(service: Service, engine: Engine) -> None:
    service.mode = Mode.SILENT
    service.score()
    assert service.cards(full()) == []

    with Session(engine) as session:
        (row,) = session.exec(select(ShownCard)).all()
    assert row.withheld == "silent"


def test_an_accepted_suggestion_is_kept_with_its_card(service: Service, card: dict[str, Any], engine: Engine) -> None:
    order = card["suggestions"][0]["uuid"]

    answer = told(
        service,
        {"card": card["uuid"], "outcome": "accepted", "outcomeTimestamp": AT, "acceptedSuggestions": [{"id": order}]},
    )

    assert (answer.status_code, answer.json) == (200, {})
    assert kept(engine) == [(card["uuid"], "accepted", [order], None)]
    assert list(service.kept.acted_on("ServiceRequest")) == [(EHR, PATIENT)]
    assert service.kept.acted_on("Task") == {}


@pytest.mark.parametrize(
    "why",
    [
        {"overrideReason": {"reason": {"code": "patient-declined"}, "userComment": "not today"}},
        {"overrideReasons": [{"reason": {"code": "patient-declined", "display": "x"}, "extension": [1]}]},
        {"overrideReasons": {"reason": {"code": "patient-declined"}}},
        {"overrideReasons": [{"reason": {"display": "of no code"}}, {"reason": {"code": " patient-declined "}}]},
    ],
)
def test_a_reason_is_kept_in_either_spelling(
    service: Service, card: dict[str, Any], engine: Engine, why: dict[str, Any]
) -> None:
    told(service, {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": AT, **why})

    assert kept(engine) == [(card["uuid"], "overridden", [], "patient-declined")]
    assert service.kept.acted_on("ServiceRequest") == {}


def test_the_same_report_twice_is_kept_once_and_a_later_one_beside_it(
    service: Service, card: dict[str, Any], engine: Engine
) -> None:
    report = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": AT}
    for reports in ([report, report], [report], [{**report, "outcomeTimestamp": "2026-05-20T23:32:00Z"}]):
        assert told(service, *reports).status_code == 200

    assert len(kept(engine)) == 2


def test_what_was_accepted_at_one_moment_is_kept_in_however_many_reports_it_is_told(
    service: Service, card: dict[str, Any], engine: Engine
) -> None:
    order, assessment = (one["uuid"] for one in card["suggestions"])
    first, second = (
        {"card": card["uuid"], "outcome": "accepted", "outcomeTimestamp": AT, "acceptedSuggestions": [{"id": uuid}]}
        for uuid in (assessment, order)
    )
    for reports in ([first, second], [second], [first]):
        assert told(service, *reports).status_code == 200

    assert kept(engine) == [(card["uuid"], "accepted", [assessment, order], None)]
    assert list(service.kept.acted_on("ServiceRequest")) == [(EHR, PATIENT)]


@pytest.mark.parametrize("bad", ["x", {"outcome": "ignored"}, {"outcomeTimestamp": None}])
def test_of_several_reports_those_that_can_be_told_are_kept_and_the_others_are_said(
    service: Service, card: dict[str, Any], engine: Engine, bad: Any
) -> None:
    report = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": AT}
    wrong = bad if isinstance(bad, str) else {**report, **bad}

    answer = told(service, wrong, report)

    assert "1 of 2 reports are not kept" in diagnostics(answer, 400)
    assert kept(engine) == [(card["uuid"], "overridden", [], None)]


@pytest.mark.parametrize(
    ("told_too_long", "name"),
    [
        ({"card": "c" * 256}, "card"),
        ({"outcomeTimestamp": "2" * 256}, "outcomeTimestamp"),
        ({"overrideReason": {"reason": {"code": "c" * 256}}}, "overrideReason.reason.code"),
        ({"acceptedSuggestions": [{"id": "a"}, {"id": "b" * 256}]}, "acceptedSuggestions.id"),
        ({"acceptedSuggestions": [{"id": "a"}] * 101}, "acceptedSuggestions"),
    ],
)
def test_what_is_too_long_to_be_kept_is_said_of_its_report_and_the_one_beside_it_is_kept(
    service: Service, card: dict[str, Any], engine: Engine, told_too_long: dict[str, Any], name: str
) -> None:
    report = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": AT}

    words = diagnostics(told(service, {**report, **told_too_long}, report), 400)

    assert words.startswith(f"1 of 2 reports are not kept: feedback.{name} ")
    assert kept(engine) == [(card["uuid"], "overridden", [], None)]


def test_of_the_words_of_a_clinician_the_first_ten_thousand_characters_are_kept(
    service: Service, card: dict[str, Any], engine: Engine
) -> None:
    why = {"userComment": "é" * 10_001}
    report = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": AT, "overrideReason": why}

    assert told(service, report).status_code == 200
    with Session(engine) as session:
        (row,) = session.exec(select(Feedback)).all()
    assert row.comment == "é" * 10_000


def test_more_reports_than_a_call_may_have_are_refused_as_a_whole(
    service: Service, card: dict[str, Any], engine: Engine
) -> None:
    report = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": AT}

    assert "send them in several calls" in diagnostics(told(service, *[report] * 1001), 400)
    assert kept(engine) == []
    assert told(service, *[report] * 1000).status_code == 200


def test_of_several_reports_those_on_unknown_cards_are_left_out(
    service: Service, card: dict[str, Any], engine: Engine
) -> None:
    reports = [{"card": uuid, "outcome": "accepted", "outcomeTimestamp": AT} for uuid in ("nobody's", card["uuid"])]

    assert told(service, *reports).status_code == 200
    assert [row[0] for row in kept(engine)] == [card["uuid"]]


def test_what_an_ehr_cut_in_the_middle_of_a_character_is_kept_as_far_as_it_goes(
    service: Service, card: dict[str, Any], engine: Engine
) -> None:
    why = {"reason": {"code": "a\0b"}, "userComment": "seen \ud83d"}
    report = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": AT, "overrideReason": why}

    assert told(service, report).status_code == 200
    with Session(engine) as session:
        (row,) = session.exec(select(Feedback)).all()
    assert (row.override_reason, row.comment) == ("a\ufffdb", "seen \ufffd")


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"feedback": {}},
        {"feedback": ["x"]},
        {"feedback": [{"outcome": "accepted", "outcomeTimestamp": AT}]},
        {"feedback": [{"card": "c", "outcome": "ignored", "outcomeTimestamp": AT}]},
        {"feedback": [{"card": "c", "outcome": "accepted"}]},
        {"feedback": [{"card": 7, "outcome": "accepted", "outcomeTimestamp": AT}]},
    ],
)
def test_what_is_no_feedback_is_refused_with_what_is_missing(service: Service, body: Any) -> None:
    answer = service.client().post(f"{URL}/feedback", json=body)

    assert "feedback" in diagnostics(answer, 400)


def test_feedback_to_a_service_that_is_not_there_is_not_found(service: Service) -> None:
    assert told(service, url="/cds-services/another").status_code == 404
