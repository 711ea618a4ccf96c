"""What no card may ever claim, what each must own up to, and that nothing from outside gets into it as markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from itertools import chain, product
from typing import TypeVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_mappings.chart import read_chart
from fhir_mappings.circumstances import Circumstance
from hooks import SERVICES
from hooks.card_details import method_text
from hooks.cards import CardKind
from hooks.contract import Withheld
from hooks.exams import latest_scored, newest_exam
from hooks.markdown import escape
from hooks.policy import Rule
from hooks.rules import RULES
from hooks.site import Mode
from model.domain import ExclusionReason, Trajectory
from tests.fhir_mappings.fhir_json import bundle, condition, patient, procedure, service_request, study
from tests.hooks.builders import MODEL, TODAY, chart, one_exam, scored
from tests.hooks.claims import CLAIMS, HARMLESS, claims_in
from tests.hooks.every_card import (
    FEW_CHARTS,
    MODES,
    RESEARCH,
    SITES,
    Told,
    answered,
    assessments,
    charts,
    every_card,
)

T = TypeVar("T")
NEVER = {(Rule.LIVING, None), (Rule.RECORD, None), (Rule.NEWEST_EXAM, False)}
"""The answers that no chart leads to."""


DATA = frozenset({"system", "code", "reference", "resourceType", "url"})


def texts(value: object, but: frozenset[str] = DATA) -> Iterator[str]:
    """Every text that a person may read, in a card and in the resources it carries; codes and addresses left out."""
    if isinstance(value, str):
        yield value
    for key, part in value.items() if isinstance(value, dict) else ():
        if key not in but:
            yield from texts(part, but)
    for part in value if isinstance(value, list) else ():
        yield from texts(part, but)


def said(told: Told) -> str:
    return "\n".join(texts(told.card.to_json()))


PHRASES = [(name, pattern, sentence) for name, patterns in CLAIMS.items() for pattern, sentence in patterns.items()]


@pytest.mark.parametrize(("name", "pattern", "sentence"), PHRASES)
def test_the_checker_catches_each_claim_in_each_way_it_may_be_put(name: str, pattern: str, sentence: str) -> None:
    assert re.search(pattern, sentence, re.IGNORECASE)
    card = every_card()[0].card
    assert claims_in(card.detail) == ()
    assert [claim.split(":")[0] for claim in claims_in(f"{card.detail}\n\n{sentence}")].count(name) >= 1


@pytest.mark.parametrize("words", HARMLESS)
def test_every_exception_is_words_of_a_card_and_excuses_no_others(words: str) -> None:
    assert any(words in said(told) for told in every_card())
    assert claims_in(f"{words} There is no sign of cancer.")


def test_the_family_has_every_kind_of_card_from_every_service_in_every_mode() -> None:
    assert {told.card.kind for told in every_card()} == set(CardKind)
    assert {(told.service.id, told.call.site.mode) for told in every_card()} == set(
        product((service.id for service in SERVICES), Mode)
    )
    assert {told.card.withheld for told in every_card()} == {None, *Withheld}


def test_the_family_has_every_answer_of_every_rule_and_each_that_keeps_the_suggestion_back_as_a_summary() -> None:
    findings = set(chain.from_iterable(told.recommendation.findings for told in every_card()))
    assert len(RULES) == len(Rule)
    assert {(found.rule, found.met) for found in findings} == set(product(Rule, (True, False, None))) - NEVER
    reasons = {found.reason for found in findings if found.withholds and found.rule is not Rule.SCORE} - {"no score"}
    summaries = "\n".join(told.card.summary for told in every_card())
    waits = "a newer exam is being scored"  # the summary names that exam instead
    assert {reason for reason in reasons if f"no MRI suggestion: {reason}" not in summaries} == {waits}


def test_the_family_has_every_reason_of_the_gate_and_every_circumstance() -> None:
    refused = chain.from_iterable(told.assessment.refused for told in every_card())
    assert {exclusion.reason for exam in refused for exclusion in exam.exclusions} == set(ExclusionReason)
    seen = [told.call.chart.circumstances for told in every_card()]
    assert frozenset().union(*(one.present for one in seen)) == frozenset(Circumstance)
    assert frozenset().union(*(one.unread for one in seen)) == frozenset(Circumstance)


def test_no_card_makes_a_claim_that_nobody_can_stand_for() -> None:
    assert {(claim, told.card.kind) for told in every_card() for claim in claims_in(said(told))} == set()


@settings(max_examples=150)
@given(
    service=st.sampled_from(SERVICES),
    patient_chart=st.sampled_from(sorted(charts())),
    assessment=st.sampled_from(sorted(assessments())),
    site=st.sampled_from(sorted(SITES)),
)
def test_no_other_pairing_does_either(service: object, patient_chart: str, assessment: str, site: str) -> None:
    asked = next(one for one in SERVICES if one is service)
    for told in answered(asked, charts()[patient_chart], assessments()[assessment], SITES[site]):
        assert claims_in(said(told)) == ()
        assert left_unsaid(told) == []


def test_every_card_names_the_model_with_its_versions() -> None:
    for told in every_card():
        latest = latest_scored(told.assessment)
        assert f"Model: {escape(method_text(latest.score.model if latest else MODEL))}." in told.card.detail


def test_every_card_names_the_day_of_the_newest_exam_and_of_the_judged_one_or_that_there_is_none() -> None:
    for told in every_card():
        newest, latest = newest_exam(told.assessment), latest_scored(told.assessment)
        days = [exam.performed_on for exam in (newest, latest) if exam]
        days += [exam.performed_on for exam in told.call.chart.exams.exams]
        expected = [day.isoformat() if day else "date unknown" for day in days]
        assert [day for day in expected if day not in told.card.detail] == []


def left_unsaid(told: Told) -> list[str]:
    """What was not known or went wrong, and is not in the card."""
    latest, chart_ = latest_scored(told.assessment), told.call.chart
    unknown = [found.fact for found in told.recommendation.findings if found.met is None and found.reason != "no score"]
    warned = latest.warnings if latest else ()
    must = (*unknown, *chart_.problems, *chart_.exams.problems, *told.assessment.notes, *warned)
    # What is noted in a log's words is said as a sentence.
    return [text for text in must if escape(text[1:].rstrip(".")) not in told.card.detail]


def test_every_card_owns_up_to_what_was_not_known() -> None:
    assert {sentence for told in every_card() for sentence in left_unsaid(told)} == set()


def test_no_line_joins_exams_of_two_classes() -> None:
    spans = re.compile(r"[Cc]hange from ([0-9-]{10}) to ([0-9-]{10})|between ([0-9-]{10}) and ([0-9-]{10})")
    for told in every_card():
        line = told.assessment.trajectory or Trajectory(())
        joined = {point.performed_on.isoformat() for point in line.points}
        assert {day for span in spans.findall(told.card.detail) for day in span if day} <= joined


HOSTILE = (
    "EVIL [go](http://evil.example) ![i](https://evil.example/x.png) <script>alert(1)</script> <!-- **b** _u_ `c` "
    "| x |\r\n# head\n- item\n\n\u202egnp.exe\u202c\u2066 www.evil.example &lt;b&gt; \x00\x1b[0m ~~s~~"
)
LIVE = (
    "](http",
    "![i",
    "http://evil",
    "https://evil",
    "www.evil",
    "**b**",
    "`c`",
    "# head\n",
    "\n- item",
    "| x |",
    "~~s",
)
NEVER_IN_ANY_TEXT = re.compile(r"[<>\x00-\x09\x0b-\x1f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def poisoned(value: T) -> T:
    """The same thing with a hostile text in place of every one that it holds, but for the patient whose it is."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return cast(T, HOSTILE)
    if isinstance(value, tuple):
        return cast(T, tuple(map(poisoned, value)))
    if isinstance(value, dict):
        return cast(T, {key: poisoned(part) for key, part in value.items()})
    if not is_dataclass(value) or isinstance(value, type):
        return value
    parts = {field.name: poisoned(getattr(value, field.name)) for field in fields(value) if field.name != "id"}
    return cast(T, replace(value, **parts))


def written_as_markup(told: Told) -> list[str]:
    """What of a hostile text is alive in a card: in its Markdown, or in the plain texts around it."""
    card = told.card.to_json()
    detail = str(card.pop("detail"))
    plain = re.sub(r"\]\(<https?://[^>]*>\)", "", detail)  # the one link of ours, to the source of the rule
    unescaped = re.sub(r"\\.", "", plain)
    alive = [markup for markup in LIVE if markup in unescaped]
    # The device in a RiskAssessment is the model by its exact name and versions: data, as its weights' checksum is.
    around = texts(card, DATA | {"contained"})
    return alive + [text for text in (plain, *around) if NEVER_IN_ANY_TEXT.search(text)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("patient_chart", FEW_CHARTS)
def test_nothing_from_outside_is_markup_wherever_it_stands(patient_chart: str, mode: str) -> None:
    site = replace(MODES[mode], model=poisoned(MODEL), demo_banner=HOSTILE)
    for assessment in assessments().values():
        chart_ = poisoned(replace(charts()[patient_chart], problems=("x",)))
        for told in answered(SERVICES[0], chart_, poisoned(assessment), site):
            assert written_as_markup(told) == []
            assert "EVIL" in told.card.detail


def test_the_check_for_markup_sees_each_of_its_kinds() -> None:
    (told,) = answered(SERVICES[0], chart(), one_exam(), RESEARCH)
    assert written_as_markup(told) == []
    for text in (*LIVE, "<b>", "\u202e"):
        bad = replace(told, card=replace(told.card, detail=f"{told.card.detail} {text}"))
        assert written_as_markup(bad) != []


def a_hostile_prefetch() -> dict[str, object]:
    """A chart whose every name, display, description and note is hostile."""
    code = {"coding": [{"system": "urn:site", "code": "1", "display": HOSTILE}], "text": HOSTILE}
    told = {"code": code, "note": [{"text": HOSTILE}], "text": {"status": "generated", "div": HOSTILE}}
    named = {"name": [{"text": HOSTILE, "family": HOSTILE}], "identifier": [{"system": "urn:mrn", "value": HOSTILE}]}
    of_hers = {"subject": {"reference": "Patient/p1", "display": HOSTILE}}
    return {
        "patient": patient() | {"id": "p1"} | named,
        "mammograms": bundle(study(patient_id="p1") | {"description": HOSTILE, "note": [{"text": HOSTILE}]}),
        "conditions": bundle(condition("urn:site", "1", "p1") | told | of_hers | {"clinicalStatus": code}),
        "procedures": bundle(procedure("urn:site", "1", "p1") | told | of_hers | {"status": HOSTILE}),
        "orders": bundle(service_request("1", patient_id="p1") | told | of_hers | {"authoredOn": HOSTILE}),
        "allergies": bundle({"resourceType": "AllergyIntolerance", "patient": of_hers["subject"], **told}),
        "observations": {"resourceType": "OperationOutcome", "issue": [{"severity": HOSTILE, "diagnostics": HOSTILE}]},
    }


def test_no_text_of_the_ehr_is_repeated_at_all() -> None:
    read = read_chart(a_hostile_prefetch(), "p1", TODAY)
    for assessment in (one_exam(), one_exam(scored(0.01))):
        (told,) = answered(SERVICES[0], read, assessment, RESEARCH)
        assert "EVIL" not in "\n".join(texts(told.card.to_json(), frozenset()))
        assert "could not be looked up" in told.card.detail
