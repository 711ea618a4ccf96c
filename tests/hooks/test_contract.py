"""The rules of CDS Hooks 2.0.1 for what a service sends, by the id each has in the project's checklist."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.codes import Coding
from hooks import SERVICES
from hooks.contract import (
    Action,
    ActionType,
    Card,
    Indicator,
    Link,
    OverrideReason,
    SelectionBehavior,
    Source,
    Suggestion,
    cards_response,
    summary_length,
)
from hooks.json_rules import CardError, refuse_empty
from hooks.service import discovery

SOURCE = Source("MammoTrend")


def card(**changes: Any) -> Card:
    values: dict[str, Any] = {"summary": "A score", "indicator": Indicator.INFO, "source": SOURCE, "uuid": "u1"}
    return Card(**(values | changes))


def suggestion(uuid: str = "s1", *, recommended: bool | None = None) -> Suggestion:
    action = Action(ActionType.CREATE, "Create it", {"resourceType": "ServiceRequest", "status": "draft"})
    return Suggestion("Do it", uuid, (action,), recommended)


@given(summary=st.text(min_size=1, max_size=150).filter(lambda text: text.strip() and "\n" not in text))
def test_C4_a_summary_has_at_most_139_characters(summary: str) -> None:
    if summary_length(summary) < 140:
        assert card(summary=summary).to_json()["summary"] == summary
    else:
        with pytest.raises(CardError, match="139"):
            card(summary=summary)


def test_C4_characters_outside_the_basic_plane_count_twice_as_a_browser_counts_them() -> None:
    with pytest.raises(CardError):
        card(summary="\N{MICROSCOPE}" * 70)


@pytest.mark.parametrize("summary", ["", "  ", "one\ntwo"])
def test_C4_a_summary_is_one_line_with_something_in_it(summary: str) -> None:
    with pytest.raises(CardError):
        card(summary=summary)


def test_C6_an_indicator_is_one_of_three() -> None:
    assert [indicator.value for indicator in Indicator] == ["info", "warning", "critical"]
    with pytest.raises(CardError, match="indicator"):
        card(indicator="urgent")


NOT_ABSOLUTE = [
    "about",
    "/about",
    "//a.example",
    "https:///about",
    "javascript://a.example/%0Aalert(1)",
    "https://a b.example",
]


@pytest.mark.parametrize(
    "broken", [{"label": ""}, *({"label": "x", name: address} for name in ("url", "icon") for address in NOT_ABSOLUTE)]
)
def test_C7_a_source_has_a_label_and_absolute_addresses(broken: dict[str, str]) -> None:
    with pytest.raises(CardError):
        Source(**broken)  # type: ignore[arg-type]  # one of the members is a Coding


@pytest.mark.parametrize("topic", [Coding("", "a"), Coding("s", "")])
def test_C8_a_topic_has_code_and_system(topic: Coding) -> None:
    with pytest.raises(CardError, match="topic"):
        Source("x", topic=topic)


def test_C8_a_topic_is_sent_as_a_coding() -> None:
    assert Source("x", topic=Coding("s", "a")).to_json()["topic"] == {"code": "a", "system": "s"}
    assert Source("x", topic=Coding("s", "a", "A")).to_json()["topic"] == {"code": "a", "system": "s", "display": "A"}


def test_C9_suggestions_come_with_a_selection_behavior() -> None:
    with pytest.raises(CardError, match="selectionBehavior"):
        card(suggestions=(suggestion(),))
    shown = card(suggestions=(suggestion(),), selection_behavior=SelectionBehavior.ANY).to_json()
    assert shown["selectionBehavior"] == "any"


@pytest.mark.parametrize("reason", [("", "s", "d"), ("c", "", "d"), ("c", "s", "")])
def test_C10_an_override_reason_has_code_system_and_display(reason: tuple[str, str, str]) -> None:
    with pytest.raises(CardError, match="overrideReasons"):
        OverrideReason(*reason)


def test_C11_two_recommended_suggestions_need_the_behavior_any() -> None:
    both = (suggestion("a", recommended=True), suggestion("b", recommended=True))
    with pytest.raises(CardError, match="recommended"):
        card(suggestions=both, selection_behavior=SelectionBehavior.AT_MOST_ONE)
    assert card(suggestions=both, selection_behavior=SelectionBehavior.ANY)


@pytest.mark.parametrize(("label", "uuid"), [("", "u"), ("x", "")])
def test_C11_a_suggestion_has_label_and_uuid(label: str, uuid: str) -> None:
    with pytest.raises(CardError):
        Suggestion(label, uuid, ())


def test_C12_an_action_has_a_description() -> None:
    with pytest.raises(CardError, match="description"):
        Action(ActionType.CREATE, "", {"resourceType": "ServiceRequest"})


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        (ActionType.CREATE, None),
        (ActionType.CREATE, {"status": "draft"}),
        (ActionType.UPDATE, {"resourceType": "ServiceRequest"}),
        (ActionType.CREATE, {"resourceType": "ServiceRequest", "note": []}),
        (ActionType.CREATE, {"resourceType": "ServiceRequest", "code": {"text": None}}),
    ],
)
def test_C13_a_change_carries_the_whole_resource(kind: ActionType, resource: dict[str, object] | None) -> None:
    with pytest.raises(CardError):
        Action(kind, "x", resource)


@pytest.mark.parametrize("resource_id", [None, "", "123", "ServiceRequest/", "ServiceRequest/1/2"])
def test_C14_a_deletion_names_type_and_id(resource_id: str | None) -> None:
    with pytest.raises(CardError):
        Action(ActionType.DELETE, "x", resource_id=resource_id)
    assert Action(ActionType.DELETE, "x", resource_id="ServiceRequest/1").to_json()["resourceId"] == "ServiceRequest/1"


@pytest.mark.parametrize(
    "broken",
    [
        {"label": "", "url": "https://a.example"},
        {"label": "x", "url": "a.example"},
        {"label": "x", "url": "https://a.example", "type": "relative"},
        {"label": "x", "url": "https://a.example", "app_context": "c"},
    ],
)
def test_C16_C17_a_link_is_whole_and_only_smart_links_have_a_context(broken: dict[str, str]) -> None:
    with pytest.raises(CardError):
        Link(**broken)  # type: ignore[arg-type]  # one of the members is a bool


def test_C18_autolaunchable_is_spelt_as_the_standard_spells_it() -> None:
    shown = Link("x", "https://a.example/l", "smart", "c", autolaunchable=False).to_json()
    assert shown == {
        "label": "x",
        "url": "https://a.example/l",
        "type": "smart",
        "appContext": "c",
        "autolaunchable": False,
    }


def test_J2_J3_what_has_no_value_is_left_out() -> None:
    shown = card().to_json()
    assert shown == {"uuid": "u1", "summary": "A score", "indicator": "info", "source": {"label": "MammoTrend"}}


@pytest.mark.parametrize("broken", [{"a": None}, {"a": ""}, {"a": [{}]}, [[]], {"a": [1, None]}])
def test_J2_J3_an_empty_thing_anywhere_is_found(broken: object) -> None:
    with pytest.raises(CardError, match="empty or null"):
        refuse_empty(broken, "card")


def test_J2_J3_zero_and_false_are_values() -> None:
    refuse_empty({"a": 0, "b": False, "c": [0.0]}, "card")


def test_C2_no_advice_is_an_empty_list_of_cards() -> None:
    assert cards_response(()) == {"cards": []}


def test_C3_a_uuid_is_never_used_twice() -> None:
    with pytest.raises(CardError, match="uuid"):
        cards_response((card(), card()))
    with pytest.raises(CardError, match="uuid"):
        cards_response((card(suggestions=(suggestion("u1"),), selection_behavior=SelectionBehavior.ANY),))


def test_D2_D3_D4_discovery_names_every_service_and_is_plain_json() -> None:
    found = json.loads(json.dumps(discovery(SERVICES)))
    assert [service["id"] for service in found["services"]] == [
        "breast-risk-order-select",
        "breast-risk-order-sign",
        "breast-risk-patient-view",
    ]
    for service in found["services"]:
        assert {"hook", "title", "description", "id", "prefetch"} <= service.keys()
        refuse_empty(service, "service")


def test_D2_no_service_is_an_empty_list() -> None:
    assert discovery(()) == {"services": []}


def test_D7_no_id_stands_for_two_services() -> None:
    assert len({service.id for service in SERVICES}) == len(SERVICES)
