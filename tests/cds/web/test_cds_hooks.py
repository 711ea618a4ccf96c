"""The hook routes over HTTP, with a real store and an EHR that a test can watch."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from cds.store.store import Store
from cds.store.tables import ScoringState
from fhir_mappings.codes import Coding
from hooks.site import Mode
from tests.builders import imaging_study, searchset
from tests.cds.builders import (
    MODEL,
    NOW,
    PATIENT,
    Json,
    claimed,
    fhir_patient,
    order_select,
    refused,
    service_request,
)
from tests.cds.web.calls import LEAVE, SECRETS, full
from tests.cds.web.conftest import FHIR_SERVER, TOKEN, Service


class NoStore(Store):
    """A store that nobody may ask anything."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"the store was asked for {name}")


@pytest.fixture
def statements(engine: Engine) -> Iterator[list[str]]:
    """Every SQL statement that is executed."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def resources(card: Json) -> dict[str, Json]:
    """The resources that a card's suggestions create."""
    actions = [action for suggestion in card.get("suggestions", ()) for action in suggestion["actions"]]
    assert all(action["type"] == "create" for action in actions)
    return {action["resource"]["resourceType"]: action["resource"] for action in actions}


# What is answered


def test_C2_H1_an_irrelevant_order_is_answered_without_any_look_at_store_or_ehr(service: Service) -> None:
    service.store = NoStore.__new__(NoStore)

    answer = service.call(order_select("77066", fhirServer=FHIR_SERVER, fhirAuthorization=LEAVE))

    assert (answer.status_code, answer.json) == (200, {"cards": []})
    assert service.ehr.tokens == []


def test_an_exam_of_the_evening_is_of_the_clinics_day_where_the_ehr_writes_its_moments_in_utc(service: Service) -> None:
    service.time_zone = "America/Los_Angeles"
    evening = imaging_study(PATIENT, "2026-05-04T01:00:00Z", "1.2.1")

    (card,) = service.cards(full(mammograms=searchset(evening)))

    assert "2026-05-03" in card["detail"]
    assert "2026-05-04" not in card["detail"]


def test_C13_over_the_threshold_the_card_offers_the_mri_order_and_the_risk_assessment(service: Service) -> None:
    service.score()

    (card,) = service.cards(full())

    assert card["indicator"] == "warning"
    assert "6.6 %" in card["summary"]
    assert card["selectionBehavior"] == "any"
    created = resources(card)
    assert set(created) == {"ServiceRequest", "RiskAssessment"}
    order, risk = created["ServiceRequest"], created["RiskAssessment"]
    assert (order["status"], order["code"]["coding"][0]["code"]) == ("draft", "77049")
    assert order["subject"] == risk["subject"] == {"reference": f"Patient/{PATIENT}"}
    percentages = [float(prediction["probabilityDecimal"]) for prediction in risk["prediction"]]
    assert percentages[-1] == pytest.approx(6.6)
    assert len(percentages) == 5


def test_below_the_threshold_one_short_card_offers_no_mri(service: Service) -> None:
    service.score(five_year=0.012)

    (card,) = service.cards(full())

    assert card["indicator"] == "info"
    assert set(resources(card)) == {"RiskAssessment"}


def test_a_breast_mri_among_the_drafts_brings_no_second_one(service: Service) -> None:
    service.score()
    body = full()
    body["context"]["draftOrders"]["entry"].append({"resource": service_request("77049", "d2")})

    (card,) = service.cards(body)

    assert set(resources(card)) == {"RiskAssessment"}


def own_mri(order_id: str) -> Json:
    """An order of the site's own MRI code."""
    return service_request("x", order_id) | {"code": {"coding": [{"system": "urn:site", "code": "MRBR"}]}}


@pytest.mark.parametrize("place", ["draft", "order"])
def test_a_breast_mri_in_the_sites_own_code_brings_no_second_one(service: Service, place: str) -> None:
    service.mri_order = Coding("urn:site", "MRBR")
    service.score()
    assert set(resources(service.cards(full())[0])) == {"ServiceRequest", "RiskAssessment"}
    body = full(orders=searchset(own_mri("o9") | {"status": "active"}) if place == "order" else searchset())
    if place == "draft":
        body["context"]["draftOrders"]["entry"].append({"resource": own_mri("d2")})

    (card,) = service.cards(body)

    assert set(resources(card)) == {"RiskAssessment"}


def test_an_order_that_cannot_be_built_leaves_the_card_and_a_line_in_the_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.mri_order = Coding("urn:site", "MRBR ")
    service.score()

    (card,) = service.cards(full())

    assert set(resources(card)) == {"RiskAssessment"}
    assert "The breast MRI order cannot be offered here" in card["detail"]
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "breast MRI order" in line
    assert not [secret for secret in (*SECRETS, PATIENT) if secret in line.split()]


@pytest.mark.parametrize("day", [date(9999, 12, 31), date(9995, 2, 28)])
def test_a_score_with_a_date_at_the_end_of_time_is_a_card_that_offers_nothing(service: Service, day: date) -> None:
    service.score(day=day)

    (card,) = service.cards(full())

    assert "exam date after today" in card["summary"]
    assert resources(card) == {}


def test_of_very_many_exams_the_newest_hundred_are_registered_and_the_card_says_so(service: Service) -> None:
    days = [date(2026, 5, 3) - timedelta(days=number) for number in range(130)]
    studies = [imaging_study(PATIENT, day.isoformat(), f"1.2.{n}", id=f"s{n}") for n, day in enumerate(days)]

    (card,) = service.cards(full(mammograms=searchset(*reversed(studies))))

    assert service.store.count(MODEL.key, ScoringState.QUEUED) == 100
    assert "- Only the newest 100 exams were looked at; left out 30 older ones." in card["detail"]
    assert "exam of 2026-05-03" in card["summary"]


def test_a_patient_without_mammograms_gets_no_card(service: Service) -> None:
    assert service.cards(full(mammograms=searchset())) == []


def test_an_exam_that_cannot_be_scored_says_why(service: Service) -> None:
    service.cards(full())
    service.store.save_refusal(claimed(service.store), refused(), NOW)

    (card,) = service.cards(full())

    assert "cannot be scored" in card["summary"]
    assert "R MLO" in card["detail"]


def test_an_exam_without_a_score_is_queued_first_and_the_card_says_that_scoring_is_under_way(service: Service) -> None:
    (card,) = service.cards(full())

    assert "under way" in card["summary"]
    assert sum(service.sleeps) == pytest.approx(service.budget_s)
    assert claimed(service.store).study_uid == "1.2.1"


def test_a_complete_prefetch_is_answered_without_a_call_to_the_ehr(service: Service) -> None:
    service.score()

    assert len(service.cards(full())) == 1
    assert service.ehr.asked == []


def test_stored_scores_and_a_complete_prefetch_are_answered_by_reading_and_the_record_of_it(
    service: Service, statements: list[str]
) -> None:
    body = full()
    service.cards(body)
    service.store.save_refusal(claimed(service.store), refused(), NOW)
    statements.clear()

    service.cards(body)

    written = [statement for statement in statements if not statement.lstrip().startswith("SELECT")]
    assert len(statements) > 1
    assert [statement.split("(")[0].strip() for statement in written] == [
        "BEGIN IMMEDIATE",
        "INSERT INTO card",
        "UPDATE audit_head SET number=",
        "INSERT INTO audit",
        "UPDATE audit_head SET digest=?",
    ]
    assert service.sleeps[4:] == []


def test_what_the_prefetch_lacks_is_read_with_the_token_of_the_call(service: Service) -> None:
    service.score()
    body = full()
    del body["prefetch"]["patient"]
    service.ehr.answers[f"Patient/{PATIENT}"] = fhir_patient()

    assert len(service.cards(body)) == 1
    assert service.ehr.tokens == [TOKEN]
    assert service.ehr.asked == [f"Patient/{PATIENT}"]
    assert not service.ehr.is_open


def test_a_part_that_cannot_be_had_and_is_not_needed_is_owned_up_to(service: Service) -> None:
    service.score()
    body = full()
    del body["prefetch"]["conditions"]

    (card,) = service.cards(body)

    assert "could not be looked up" in card["detail"]


def test_silent_mode_answers_nothing_waits_for_nothing_and_queues_the_exams(service: Service) -> None:
    service.mode = Mode.SILENT

    assert service.cards(full("1.2.1", "1.2.2")) == []
    assert service.sleeps == []
    assert service.store.count(MODEL.key, ScoringState.QUEUED) == 2


def test_each_ehr_has_its_own_patients(service: Service) -> None:
    service.score()
    service.with_other_ehr("ehr-2", "https://other.example/r4")

    (card,) = service.cards(full() | {"fhirServer": "https://other.example/r4/"})

    assert "under way" in card["summary"]


@pytest.mark.parametrize("day", ["2026-05-20", "2026-05-21"])
def test_she_who_turns_35_on_the_day_of_the_call_is_35(service: Service, day: str) -> None:
    service.score()
    born = "1991" + day[4:]

    (card,) = service.cards(full(patient=fhir_patient(birthDate=born)))

    assert ("ServiceRequest" in resources(card)) == (day == "2026-05-20")
