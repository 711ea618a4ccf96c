"""What happens in chart and service when a clinician opens, orders, accepts, overrides and signs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cds.demo.ehr_page.desk import Desk
from cds.demo.ehr_page.orders import CATALOGUE
from cds.demo.ehr_page.visit import Visit
from cds.demo.fhir_store import ResourceStore
from cds.errors import EhrError
from tests.cds.builders import PATIENT
from tests.cds.demo.ehr_page.builders import REASON, card
from tests.cds.demo.ehr_page.conftest import ToldAdviser

SCREENING, DIAGNOSTIC, MRI, DRUG = CATALOGUE


def statuses(charts: ResourceStore, resource_type: str = "ServiceRequest") -> list[str]:
    """What is in the chart, by status."""
    return [order["status"] for order in charts.all(resource_type)]


@pytest.fixture
def visit(desk: Desk, adviser: ToldAdviser) -> Visit:
    """A visit with a card on the screen, after a screening mammogram was selected."""
    adviser.cards["order-select"] = [card()]
    opened = desk.open_chart(PATIENT)
    desk.select(opened, SCREENING)
    return opened


def test_opening_a_chart_asks_once_until_it_is_closed(desk: Desk, adviser: ToldAdviser) -> None:
    visits = [desk.open_chart(PATIENT) for _ in range(3)]
    assert adviser.asked == [("patient-view", PATIENT, {})]
    assert visits[0] is visits[2]
    desk.close_chart(PATIENT)
    assert desk.open_chart(PATIENT) is not visits[0]
    assert [hook for hook, _, _ in adviser.asked] == ["patient-view"] * 2


@pytest.mark.parametrize("orderable", CATALOGUE, ids=[one.key for one in CATALOGUE])
def test_an_order_is_drafted_in_the_chart_and_named_in_the_call(
    desk: Desk, adviser: ToldAdviser, charts: ResourceStore, orderable: object
) -> None:
    chosen = next(one for one in CATALOGUE if one is orderable)
    desk.select(desk.open_chart(PATIENT), chosen)
    (order,) = charts.all("ServiceRequest") + charts.all("MedicationRequest")
    hook, _, context = adviser.asked[-1]
    assert (hook, context["selections"]) == ("order-select", [f"{order['resourceType']}/{order['id']}"])
    assert [entry["resource"] for entry in context["draftOrders"]["entry"]] == [order]


def test_earlier_drafts_go_with_a_later_selection(desk: Desk, adviser: ToldAdviser) -> None:
    visit = desk.open_chart(PATIENT)
    for orderable in (MRI, DRUG, SCREENING):
        desk.select(visit, orderable)
    assert len(adviser.asked[-1][2]["draftOrders"]["entry"]) == 3


def test_accepting_puts_the_order_into_the_chart_and_tells_the_service(
    desk: Desk, adviser: ToldAdviser, charts: ResourceStore, visit: Visit
) -> None:
    desk.accept(visit, "card-1", "mri")
    drafted = charts.all("ServiceRequest")[-1]
    assert (drafted["code"]["text"], drafted["authoredOn"]) == ("MRI", "2026-05-20T23:30:00Z")
    ((service_id, feedback),) = adviser.reported
    assert service_id == "service-order-select"
    assert feedback == {
        "card": "card-1",
        "outcome": "accepted",
        "outcomeTimestamp": "2026-05-20T23:30:00Z",
        "acceptedSuggestions": [{"id": "mri"}],
    }
    assert [(one.words, one.problem) for one in visit.decisions] == [("Draft an MRI", None)]


def test_both_suggestions_of_a_card_can_be_accepted(desk: Desk, charts: ResourceStore, visit: Visit) -> None:
    desk.accept(visit, "card-1", "mri")
    desk.accept(visit, "card-1", "risk")
    assert (len(charts.all("ServiceRequest")), len(charts.all("RiskAssessment"))) == (2, 1)


def test_clicks_from_many_tabs_accept_once(
    desk: Desk, adviser: ToldAdviser, charts: ResourceStore, visit: Visit
) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: desk.accept(visit, "card-1", "mri"), range(8)))
    assert (len(charts.all("ServiceRequest")), len(adviser.reported)) == (2, 1)


def test_a_risk_assessment_that_is_on_record_is_not_recorded_again(
    desk: Desk, charts: ResourceStore, visit: Visit
) -> None:
    desk.accept(visit, "card-1", "risk")
    desk.select(visit, SCREENING)
    visit.decisions.clear()
    desk.accept(visit, "card-1", "risk")
    assert len(charts.all("RiskAssessment")) == 1


def test_what_the_chart_does_not_take_is_not_reported_as_accepted(
    desk: Desk, adviser: ToldAdviser, visit: Visit
) -> None:
    stranger = {"resourceType": "ServiceRequest", "status": "draft", "subject": {"reference": "Patient/nobody"}}
    adviser.cards["order-select"] = [
        card(suggestions=[{"uuid": "mri", "label": "MRI", "actions": [{"type": "create", "resource": stranger}]}])
    ]
    desk.select(visit, SCREENING)
    with pytest.raises(EhrError):
        desk.accept(visit, "card-1", "mri")
    assert (adviser.reported, visit.decisions) == ([], [])


def test_feedback_that_was_not_taken_is_known(desk: Desk, adviser: ToldAdviser, visit: Visit) -> None:
    adviser.feedback_problem = "the service answered 404"
    desk.accept(visit, "card-1", "mri")
    assert visit.decisions[0].problem == "the service answered 404"


@pytest.mark.parametrize(
    ("code", "comment", "why", "words"),
    [
        (
            REASON["code"],
            "at home",
            {"reason": {"code": REASON["code"], "system": REASON["system"]}, "userComment": "at home"},
            REASON["display"],
        ),
        (REASON["code"], "", {"reason": {"code": REASON["code"], "system": REASON["system"]}}, REASON["display"]),
        ("", "at home", {"userComment": "at home"}, "no reason given"),
        ("invented", "", None, "no reason given"),
    ],
)
def test_overriding_tells_the_service_why(
    desk: Desk, adviser: ToldAdviser, visit: Visit, code: str, comment: str, why: object, words: str
) -> None:
    desk.override(visit, "card-1", code, comment)
    ((_, feedback),) = adviser.reported
    assert (feedback["outcome"], feedback.get("overrideReason")) == ("overridden", why)
    assert (visit.decisions[0].words, visit.decisions[0].comment) == (words, comment)


def test_a_card_is_either_accepted_or_overridden(
    desk: Desk, adviser: ToldAdviser, charts: ResourceStore, visit: Visit
) -> None:
    desk.override(visit, "card-1", REASON["code"], "")
    desk.accept(visit, "card-1", "mri")
    desk.override(visit, "card-1", REASON["code"], "")
    assert (len(adviser.reported), len(charts.all("ServiceRequest"))) == (1, 1)
    desk.select(visit, SCREENING)
    assert not visit.is_open("card-1")


@pytest.mark.parametrize(("card_id", "suggestion_id"), [("card-2", "mri"), ("card-1", "other")])
def test_what_is_not_on_the_screen_cannot_be_accepted(
    desk: Desk, adviser: ToldAdviser, visit: Visit, card_id: str, suggestion_id: str
) -> None:
    desk.accept(visit, card_id, suggestion_id)
    desk.override(visit, "card-2", "", "")
    assert adviser.reported == []


def test_signing_asks_first_and_signs_where_there_is_no_card(
    desk: Desk, adviser: ToldAdviser, charts: ResourceStore, visit: Visit
) -> None:
    desk.sign(visit, None)
    hook, _, context = adviser.asked[-1]
    assert (hook, len(context["draftOrders"]["entry"]), statuses(charts)) == ("order-sign", 1, ["active"])


def test_a_card_at_signing_is_to_be_seen_before_anything_is_signed(
    desk: Desk, adviser: ToldAdviser, charts: ResourceStore, visit: Visit
) -> None:
    adviser.cards["order-sign"] = [card("card-2")]
    for seen in (None, "call-1"):
        desk.sign(visit, seen)
        assert statuses(charts) == ["draft"]
    assert visit.latest is not None
    desk.sign(visit, visit.latest.id)
    assert statuses(charts) == ["active"]


def test_an_unreachable_service_does_not_keep_orders_from_being_signed(
    desk: Desk, adviser: ToldAdviser, charts: ResourceStore, visit: Visit
) -> None:
    adviser.problem = "the service cannot be reached"
    desk.sign(visit, None)
    assert statuses(charts) == ["active"]


def test_a_second_click_on_signing_leaves_it_said_that_all_is_signed(desk: Desk, visit: Visit) -> None:
    assert visit.signed == 0
    for _ in range(2):
        desk.sign(visit, None)
        assert visit.signed == 1
    desk.select(visit, MRI)
    assert visit.signed == 0


def test_what_a_suggestion_drafts_after_the_signing_is_not_said_to_be_signed(desk: Desk, visit: Visit) -> None:
    visit.signed = 1
    desk.accept(visit, "card-1", "mri")
    assert visit.signed == 0


def test_signing_nothing_asks_nothing(desk: Desk, adviser: ToldAdviser) -> None:
    desk.sign(desk.open_chart(PATIENT), None)
    assert [hook for hook, _, _ in adviser.asked] == ["patient-view"]


def test_a_removed_draft_is_neither_sent_nor_signed(
    desk: Desk, adviser: ToldAdviser, charts: ResourceStore, visit: Visit
) -> None:
    (order,) = charts.all("ServiceRequest")
    desk.remove(visit, "ServiceRequest", order["id"])
    desk.sign(visit, None)
    assert statuses(charts) == ["entered-in-error"]
    assert adviser.asked[-1][0] == "order-select"
