"""Section 6 of the checklist, held against every card that the services can make."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import re
from html.parser import HTMLParser
from uuid import UUID

import pytest
from fhir.resources.R4B.riskassessment import RiskAssessment
from fhir.resources.R4B.servicerequest import ServiceRequest
from markdown_it import MarkdownIt
from pydantic import BaseModel

from hooks.cards import CardKind
from tests.builders import searchset
from tests.cds.builders import Json
from tests.cds.web.conftest import Service
from tests.conformance.calls import CALLS, address, whole
from tests.conformance.family import Answer, actions, parts_of, suggestions

OF_A_CARD = {
    *("uuid", "summary", "detail", "indicator", "source", "suggestions", "selectionBehavior", "overrideReasons"),
}
OF_A_SUGGESTION = {"label", "uuid", "isRecommended", "actions"}
MARKS = {"p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "a", "br"}


class Marks(HTMLParser):
    """The tags of a page, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str | None] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links |= {value for name, value in attrs if name in ("href", "src")}


def shown(detail: str) -> Marks:
    """What a client's page holds that renders GitHub's Markdown, and lets HTML through as the sandbox does."""
    marks = Marks()
    marks.feed(MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").render(detail))
    return marks


def test_the_family_holds_every_kind_of_card_from_every_service(family: list[Answer]) -> None:
    assert {(answer.service_id, kind) for answer in family for kind in answer.kinds} == {
        (service_id, kind) for service_id in CALLS for kind in CardKind
    }


def test_C1_an_answer_is_an_object_with_a_list_of_cards(family: list[Answer]) -> None:
    for answer in family:
        assert set(answer.body) == {"cards"}
        assert isinstance(answer.body["cards"], list)
        assert all(set(card) <= OF_A_CARD for card in answer.cards)


@pytest.mark.parametrize("service_id", CALLS)
def test_C2_no_advice_is_200_and_an_empty_list(service: Service, service_id: str) -> None:
    answer = service.client().post(address(service_id), json=whole(service_id, mammograms=searchset()))

    assert (answer.status_code, answer.get_json()) == (200, {"cards": []})


def test_C3_every_card_has_a_uuid_that_no_other_card_or_suggestion_has(cards: list[Json]) -> None:
    uuids = [one["uuid"] for card in cards for one in (card, *suggestions(card))]

    assert len({UUID(uuid) for uuid in uuids}) == len(uuids)


def test_C4_the_summary_is_one_sentence_under_140_characters(cards: list[Json]) -> None:
    for card in cards:
        summary = card["summary"]
        assert 0 < len(summary.encode("utf-16-le")) // 2 < 140
        assert summary == summary.strip()
        assert not re.search(r"[.!?]\s|[\n\r]", summary)


def test_C5_S16_the_detail_is_markdown_without_html_and_links_only_to_the_rules_source(cards: list[Json]) -> None:
    for card in cards:
        marks = shown(card["detail"])
        assert marks.tags <= MARKS
        assert marks.links <= {"https://www.nccn.org/guidelines/guidelines-detail?category=2&id=1421"}


def test_C6_the_indicator_is_one_of_three(cards: list[Json]) -> None:
    assert {card["indicator"] for card in cards} == {"info", "warning"}


def test_C7_the_source_has_a_label_and_addresses_that_are_whole_and_the_same_for_everybody(cards: list[Json]) -> None:
    sources = [card["source"] for card in cards]

    assert all(isinstance(source["label"], str) for source in sources)
    assert {source["url"] for source in sources if "url" in source} == {"https://hospital.example/mammotrend"}
    assert {source["icon"] for source in sources if "icon" in source} == {"https://hospital.example/icon.png"}


def test_C8_a_topic_is_a_coding_with_code_and_system(cards: list[Json]) -> None:
    topics = [card["source"]["topic"] for card in cards if "topic" in card["source"]]

    assert topics
    assert all(isinstance(topic[name], str) for topic in topics for name in ("code", "system"))
    assert all(set(topic) <= {"code", "system", "display"} for topic in topics)


def test_C9_suggestions_come_with_the_behavior_that_every_client_knows(cards: list[Json]) -> None:
    assert [card for card in cards if suggestions(card)]
    for card in cards:
        assert card.get("selectionBehavior") == ("any" if suggestions(card) else None)


def test_C10_every_override_reason_has_code_system_and_display(cards: list[Json]) -> None:
    reasons = [reason for card in cards for reason in card.get("overrideReasons", [])]

    assert reasons
    assert all(set(reason) == {"code", "system", "display"} for reason in reasons)


def test_C11_a_suggestion_has_label_uuid_and_at_most_a_word_that_it_is_recommended(cards: list[Json]) -> None:
    offered = [suggestion for card in cards for suggestion in suggestions(card)]

    assert all(set(one) <= OF_A_SUGGESTION for one in offered)
    assert all(isinstance(one[name], str) and one[name] for one in offered for name in ("label", "uuid"))
    assert {one.get("isRecommended") for one in offered} == {None, True}
    assert max(sum(one.get("isRecommended", False) for one in suggestions(card)) for card in cards) == 1


def test_C12_every_action_creates_and_says_what(cards: list[Json]) -> None:
    done = [action for card in cards for action in actions(card)]

    assert all(action["type"] == "create" and action["description"].strip() for action in done)
    assert all(set(action) == {"type", "description", "resource"} for action in done)


def test_C13_J4_what_is_created_is_a_new_and_whole_r4_resource(cards: list[Json]) -> None:
    classes: dict[str, type[BaseModel]] = {"ServiceRequest": ServiceRequest, "RiskAssessment": RiskAssessment}
    created = [action["resource"] for card in cards for action in actions(card)]

    assert {resource["resourceType"] for resource in created} == set(classes)
    for resource in created:
        classes[resource["resourceType"]].model_validate(resource)
        assert "id" not in resource


def test_C13_an_order_says_of_which_score_of_which_exam_it_is(cards: list[Json]) -> None:
    score = r"Increased 5-year image-based score [\d.]+ % \(threshold 1\.7 %\), exam of (\d{4}-05-03)"
    created = [(card, action["resource"]) for card in cards for action in actions(card)]
    ordered = [(card, order) for card, order in created if order["resourceType"] == "ServiceRequest"]

    assert ordered
    for card, order in ordered:
        said = re.fullmatch(score, order["reasonCode"][0]["text"])
        assert said
        assert f"The 5-year score of the exam of {said[1]}" in card["detail"]


def test_C15_what_one_suggestion_creates_does_not_point_at_each_other(cards: list[Json]) -> None:
    together = [suggestion for card in cards for suggestion in suggestions(card) if len(suggestion["actions"]) > 1]

    assert together
    for suggestion in together:
        references = {reference for part in parts_of(suggestion) for reference in _references(part)}
        assert all(re.fullmatch(r"#device|[A-Z][A-Za-z]+/[\w.-]+", reference) for reference in references)
        assert not [reference for reference in references if reference.startswith(("ServiceRequest", "RiskAssess"))]


def test_C16_C17_C18_no_card_sends_the_clinician_elsewhere(cards: list[Json]) -> None:
    assert not [card for card in cards if "links" in card]


def test_C19_nothing_is_done_behind_the_clinicians_back(family: list[Answer]) -> None:
    assert not [answer for answer in family if "systemActions" in answer.body]


def _references(part: object) -> list[str]:
    return [part["reference"]] if isinstance(part, dict) and isinstance(part.get("reference"), str) else []
