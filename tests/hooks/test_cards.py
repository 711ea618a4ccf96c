"""What each card says; what none of them may ever say is in `test_claims`."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fhir_mappings.chart import Chart
from fhir_mappings.circumstances import Circumstance, Circumstances
from fhir_mappings.codes import Coding
from fhir_mappings.histories import BreastHistory
from fhir_mappings.imaging_studies import ImagingHistory
from fhir_mappings.orders import Orders, usual_order_codes
from fhir_mappings.patients import Sex
from hooks.card_details import change_lines, change_note, contradictions
from hooks.cards import CardKind, Occasion, card_kind, cards
from hooks.contract import Card, Indicator, Link, cards_response
from hooks.exams import latest_scored
from hooks.json_rules import refuse_empty
from hooks.markdown import escape
from hooks.policy import Comparator, MriPolicy, recommend
from hooks.site import Mode, Site
from model.domain import AcquisitionDevice, Assessment, Exclusion, ExclusionReason, Trajectory
from model.trajectory import trajectory
from tests.hooks.builders import (
    DIAGNOSTIC,
    RISING,
    SITE,
    TODAY,
    chart,
    draft,
    exact,
    exam_reference,
    history_of,
    numbered,
    one_exam,
    order,
    pending,
    refused,
    scored,
)
from tests.hooks.cases import (
    CASES,
    EARLIER_OVER,
    EARLIER_UNDER,
    HALF_A_POINT,
    NEW_SOFTWARE,
    YOUNG,
    of_another_model,
)
from tests.hooks.claims import claims_in
from tests.hooks.every_card import noted

ACTIVE = Site(mode=Mode.ACTIVE)
everywhere = pytest.mark.parametrize("name", CASES)


def occasion(patient_chart: Chart, assessment: Assessment, site: Site = SITE, drafts: tuple[Any, ...] = ()) -> Occasion:
    recommendation = recommend(patient_chart, assessment, drafts, site.policy, TODAY, usual_order_codes())
    return Occasion(patient_chart, assessment, recommendation, site, "Practitioner/dr1", numbered())


def only_card(patient_chart: Chart, assessment: Assessment, site: Site = SITE, drafts: tuple[Any, ...] = ()) -> Card:
    (card,) = cards(occasion(patient_chart, assessment, site, drafts))
    return card


def card_of(name: str, site: Site = SITE) -> Card:
    return only_card(*CASES[name][1:], site)


@everywhere
def test_each_case_gets_its_kind_of_card(name: str) -> None:
    kind, patient_chart, assessment = CASES[name]
    made = occasion(patient_chart, assessment)
    assert card_kind(made.chart, made.assessment, made.recommendation) is kind


def test_every_kind_of_card_is_among_the_cases() -> None:
    assert {kind for kind, *_ in CASES.values()} == set(CardKind)


@everywhere
def test_every_card_is_valid_plain_json_without_nulls_and_with_its_own_uuids(name: str) -> None:
    response = json.loads(json.dumps(cards_response((card_of(name),)), allow_nan=False))
    refuse_empty(response["cards"][0], "card")
    assert all(len(s["actions"]) == 1 for s in response["cards"][0].get("suggestions", []))


@everywhere
def test_C5_every_line_of_a_detail_is_shown_as_the_block_that_it_was_written_as(name: str) -> None:
    detail = card_of(name).detail
    lines = {number: line for number, line in enumerate(detail.split("\n")) if line}
    begins, inline = blocks(detail)

    assert begins["tr_open"] == {n for n, line in lines.items() if line.startswith("|") and "---" not in line}
    assert begins["list_item_open"] == {n for n, line in lines.items() if line.startswith("- ")}
    assert begins["paragraph_open"] == {n for n, line in lines.items() if line[0] != "|"}
    assert inline.keys() <= {"text", "strong_open", "strong_close", "link_open", "link_close"}
    assert "**" not in "".join(inline["text"])


def blocks(detail: str) -> tuple[dict[str, set[int]], dict[str, list[str]]]:
    """Where each kind of block of a detail begins, by line, and what is within lines, as a renderer reads both."""
    begins: dict[str, set[int]] = defaultdict(set)
    inline: dict[str, list[str]] = defaultdict(list)
    for token in MarkdownIt("commonmark").enable("table").parse(detail):
        begins[token.type].add(token.map[0] if token.map else -1)
        for part in token.children or ():
            inline[part.type].append(part.content)
    return begins, inline


@everywhere
def test_every_card_links_to_its_own_page_where_there_are_pages(name: str) -> None:
    _, patient_chart, assessment = CASES[name]
    made = replace(
        occasion(patient_chart, assessment), page_of=lambda uuid: Link("See", f"https://cds.example/page-of/{uuid}")
    )

    (card,) = cards(made)

    assert [link.to_json() for link in card.links] == [
        {"label": "See", "url": f"https://cds.example/page-of/{card.uuid}", "type": "absolute"}
    ]
    assert card_of(name).links == ()


@everywhere
def test_no_summary_had_to_be_cut(name: str) -> None:
    assert not card_of(name).summary.endswith("…")


@pytest.mark.parametrize("name", [name for name, (_, _, assessment) in CASES.items() if latest_scored(assessment)])
def test_a_card_with_a_score_names_exam_model_versions_threshold_and_source(name: str) -> None:
    latest = latest_scored(CASES[name][2])
    assert latest is not None
    detail = card_of(name).detail
    for part in (
        latest.performed_on.isoformat(),
        "Demo, weights 0123456789ab",
        "preprocessing p1",
        "over 1.7 %",
        "NCCN",
    ):
        assert part in detail


@everywhere
def test_every_card_says_that_a_score_is_no_reason_for_less_screening(name: str) -> None:
    assert "no reason for less screening" in card_of(name).detail


@everywhere
def test_the_banners_of_demo_and_research_come_first(name: str) -> None:
    detail = card_of(name).detail
    assert detail.startswith("**Synthetic demonstration model. Not for clinical use.**\n\n**Research use. Not for")


@everywhere
def test_an_mri_is_offered_by_a_warning_with_override_reasons_and_by_nothing_else(name: str) -> None:
    card = card_of(name)
    offered = [s for s in card.suggestions if s.label == "Draft a breast MRI order"]
    suggested = occasion(*CASES[name][1:]).recommendation.suggest_mri
    assert len(offered) == suggested
    assert card.indicator is (Indicator.WARNING if suggested else Indicator.INFO)
    assert bool(card.override_reasons) is suggested


def test_a_crossed_threshold_is_said_with_score_threshold_and_change() -> None:
    summary = "Increased 5-year image-based score 6.6 % (threshold 1.7 %), up 4.5 points in 6.0 years"
    assert card_of("rising over six years", ACTIVE).summary == summary


@everywhere
def test_in_research_mode_the_summary_says_so_first_and_is_the_same_otherwise(name: str) -> None:
    active, research = card_of(name, ACTIVE).summary, card_of(name).summary
    assert research == f"Research: {active[0].lower()}{active[1:]}"
    assert not active.startswith("Research")


@pytest.mark.parametrize(("mode", "recommended"), [(Mode.SILENT, []), (Mode.RESEARCH, []), (Mode.ACTIVE, [True])])
def test_only_in_active_mode_is_the_mri_order_marked_as_recommended(mode: Mode, recommended: list[bool]) -> None:
    sent = card_of("rising over six years", Site(mode=mode)).to_json()["suggestions"]
    assert isinstance(sent, list)
    assert [s["isRecommended"] for s in sent if "isRecommended" in s] == recommended
    assert len(sent) == 2


@pytest.mark.parametrize(("earlier", "words"), [(date(2025, 8, 3), True), (date(2025, 8, 4), False)])
def test_a_change_within_nine_months_is_in_the_detail_with_its_dates_and_not_in_the_summary(
    earlier: date, words: bool
) -> None:
    trajectory = Trajectory((scored(0.02, earlier), scored(0.05, date(2026, 5, 3))))
    card = only_card(chart(), Assessment(trajectory))
    assert ("up 3.0 points" in card.summary) is words
    assert f"Change from {earlier.isoformat()} to 2026-05-03: +3.0 percentage points" in card.detail
    assert ("points in 0.7 years (+4.01 per year)." in card.detail) is words
    assert ("per year" in card.detail) is words


def test_the_first_exam_over_the_threshold_is_named_where_there_are_several() -> None:
    several, only = history_of({2024: 0.010, 2025: 0.017001, 2026: 0.03}), history_of({2026: 0.03})
    sentence = "First of these 3 exams whose score is over 1.7 %: exam of 2025-05-03."
    assert sentence in only_card(chart(), Assessment(several)).detail
    assert "First of" not in only_card(chart(), Assessment(only)).detail
    assert "First of" not in card_of("below").detail


def test_a_score_that_is_at_the_threshold_and_no_more_is_never_called_over_it() -> None:
    policy = MriPolicy(comparator=Comparator.AT_LEAST)
    first, then = scored(0.017, date(2025, 5, 3)), scored()
    line = trajectory([first, then], policy.is_crossed_by, line_of=first.comparability)
    detail = only_card(chart(), Assessment(line), replace(SITE, policy=policy)).detail
    assert "First of these 2 exams whose score is at least 1.7 %: exam of 2025-05-03." in detail
    assert " over " not in detail


@everywhere
def test_no_card_has_a_word_that_a_radiologist_reads_as_metastasis(name: str) -> None:
    assert re.search(r"\bmet(s|a)?\b", card_of(name).detail, re.IGNORECASE) is None


def test_what_no_rule_looks_at_stands_below_the_rules() -> None:
    lines = card_of("rising over six years").detail.splitlines()
    left = "lifetime risk of 20 % or more, irradiation of the chest in youth, and what is not on record in codes"
    assert f"- Not checked here: {left}." in lines
    assert lines[lines.index(f"- Not checked here: {left}.") - 1].startswith("- fulfilled: ")


def test_what_a_site_has_given_codes_for_is_not_called_unchecked() -> None:
    asked = replace(chart(), circumstances=Circumstances())
    detail = only_card(asked, one_exam()).detail
    assert "- Not checked here: and what is not on record in codes." not in detail
    assert "- Not checked here: what is not on record in codes." in detail
    assert "- fulfilled: Not found on record: lifetime risk of 20 % or more; observations looked at: " in detail


@pytest.mark.parametrize("name", ["another patient's study", "exams nobody assessed"])
def test_of_exams_that_could_not_be_read_it_is_not_said_that_none_has_a_score(name: str) -> None:
    detail = card_of(name).detail
    assert "No exam of this patient has a usable score" not in detail
    assert "could not all be read, so it is not known whether one has a usable score" in detail
    assert "No exam of this patient has a usable score" in card_of("three views").detail


BAD_ORDER = Site(mode=Mode.ACTIVE, mri_order=Coding("urn:site", "77049 "))
BAD_RECORD = Site(mode=Mode.ACTIVE, identifier_system=" ")


@pytest.mark.parametrize(
    ("site", "missing", "left"),
    [
        (BAD_ORDER, "breast MRI order", "Record the risk assessment of the exam of 2026-05-03"),
        (BAD_RECORD, "risk assessment", "Draft a breast MRI order"),
    ],
)
def test_a_suggestion_that_cannot_be_built_is_missed_by_name_and_the_card_stands(
    site: Site, missing: str, left: str
) -> None:
    card = card_of("rising over six years", site)
    assert [suggestion.label for suggestion in card.suggestions] == [left]
    assert f"- The {missing} cannot be offered here: " in card.detail
    assert len(card.problems) == 1
    assert "problems" not in card.to_json()
    assert card.indicator is Indicator.WARNING


def test_a_card_of_which_no_suggestion_can_be_built_is_still_a_card() -> None:
    site = Site(mode=Mode.ACTIVE, identifier_system=" ", mri_order=Coding("urn:site", " x"))
    sent = card_of("rising over six years", site).to_json()
    assert "suggestions" not in sent
    assert "selectionBehavior" not in sent


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("34 years and 11 months", "; no MRI suggestion: under 35"),
        ("no birth date", "; no MRI suggestion: age not known"),
        ("MRI ordered", "; no MRI suggestion: breast MRI already ordered"),
        ("MRI drafted", "; no MRI suggestion: breast MRI drafted, not signed"),
        ("earlier cancer", "; no MRI suggestion: breast cancer or carcinoma in situ on record"),
        ("a man", "; no MRI suggestion: model made for women"),
        ("an old score", "; no MRI suggestion: score older than 24 months"),
        ("below", "Research: 5-year image-based score 1.2 % (threshold 1.7 %), exam of 2026-05-03"),
        ("three views", "cannot be scored: No usable R MLO view"),
        (
            "three views, under before",
            "cannot be scored: No usable R MLO view; earlier score 1.1 % of 2025-05-03 (threshold 1.7 %)",
        ),
        ("three views, over before", ", exam of 2025-05-03; the exam of 2026-05-03 cannot be scored"),
        ("in the queue", "Research: scoring of the exam of 2026-05-03 is under way"),
        ("in the queue, over before", "is under way; earlier score 4.6 % of 2025-05-03 (threshold 1.7 %)"),
        ("scored by an old model alone", "was scored by another model version or from another kind of image"),
        (
            "newest of another model, over before",
            "5-year image-based score 4.6 % (threshold 1.7 %), exam of 2025-05-03; the newest exam has no usable score",
        ),
        (
            "newest synthetic, under before",
            "Research: the newest exam has no usable score; earlier score 1.1 % of 2025-05-03 (threshold 1.7 %)",
        ),
        ("held", "is not scored yet: The image archive did not answer; it will be asked again"),
        ("another patient's study", "could not all be read; no 5-year image-based score is known"),
    ],
)
def test_a_summary_says_what_matters_first(name: str, end: str) -> None:
    assert card_of(name).summary.endswith(end)


def test_an_mri_among_the_drafts_is_not_suggested_again() -> None:
    card = only_card(chart(), Assessment(history_of()), drafts=(draft(),))
    assert card.summary.endswith("; no MRI suggestion: breast MRI already in the draft orders")
    assert [s.label for s in card.suggestions] == ["Record the risk assessment of the exam of 2026-05-03"]


def test_no_exam_at_all_gets_no_card() -> None:
    assert cards(occasion(chart(), Assessment())) == ()


def test_a_card_below_the_threshold_is_short() -> None:
    detail = card_of("below").detail
    assert "|" not in detail
    assert "Rule by rule" not in detail
    assert len(detail) < 1000


def test_a_card_below_the_threshold_still_tells_what_makes_the_score_doubtful() -> None:
    detail = card_of("below, a man, an old score").detail
    assert "**not fulfilled**: Sex on record: male; the model was made for women." in detail
    assert "more than 24 months ago" in detail


DOUBTS = {
    "breast cancer or carcinoma in situ on record": chart(history=BreastHistory(True, False)),
    "bilateral mastectomy on record": chart(history=BreastHistory(False, True)),
    "hereditary risk on record": noted(frozenset({Circumstance.RAISED_RISK})),
    "raised lifetime risk on record": noted(frozenset({Circumstance.LIFETIME_RISK})),
    "irradiation of the chest on record": noted(frozenset({Circumstance.CHEST_IRRADIATION})),
    "BI-RADS category other than 1 or 2": noted(frozenset({Circumstance.OPEN_ASSESSMENT})),
    "diagnostic mammogram on record": replace(
        chart(), diagnostic_orders=Orders((order(DIAGNOSTIC, dated=exact(TODAY)),))
    ),
    "model made for women": chart(sex=Sex.MALE),
    "recorded as deceased": chart(deceased=True),
    "patient record was replaced": chart(replaced=True),
}


@pytest.mark.parametrize("reason", DOUBTS)
def test_a_score_under_the_threshold_is_told_with_what_is_on_record_that_it_is_not_meant_for(reason: str) -> None:
    card = only_card(DOUBTS[reason], one_exam(scored(0.012)))
    (found,) = [one for one in occasion(DOUBTS[reason], one_exam()).recommendation.findings if one.reason == reason]
    line = f"- **not fulfilled**: {escape(found.fact)}"
    assert card.summary.endswith(f"score 1.2 % (threshold 1.7 %), exam of 2026-05-03; {reason}")
    assert [one for one in card.detail.splitlines() if one.startswith("- **not fulfilled**")] == [
        f"{line} {found.instead}" if found.instead else line
    ]


@pytest.mark.parametrize("reason", ["pregnancy on record", "allergy to contrast agent on record", "under 35"])
def test_a_score_under_the_threshold_is_told_without_what_bears_on_an_mri_alone(reason: str) -> None:
    young = YOUNG if reason == "under 35" else noted(frozenset({Circumstance.PREGNANCY, Circumstance.CONTRAST_ALLERGY}))
    card = only_card(young, one_exam(scored(0.012)))
    assert reason in {one.reason for one in occasion(young, one_exam()).recommendation.obstacles}
    assert "not fulfilled" not in card.detail
    assert card.summary.endswith("exam of 2026-05-03")


@pytest.mark.parametrize("risk", [0.01, 0.066])
def test_a_score_on_a_record_that_was_replaced_says_which_record_to_use(risk: float) -> None:
    detail = only_card(chart(replaced=True), one_exam(scored(risk))).detail
    assert (
        "**not fulfilled**: This patient record was replaced by another one. Use the record that replaced it." in detail
    )


def test_the_table_is_newest_first_with_the_reasons_of_exams_without_a_score() -> None:
    assessment = Assessment(EARLIER_OVER, (refused(),), (pending(date(2023, 5, 3)), pending(None, "No study UID.")))
    rows = [row for row in only_card(chart(), assessment).detail.splitlines() if row.startswith("| ")][2:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [
        "date unknown",
        "2026-05-03",
        "2025-05-03",
        "2024-05-03",
        "2023-05-03",
    ]
    assert "not scored yet: No study UID |" in rows[0]
    assert "cannot be scored: No usable R MLO view" in rows[1]
    assert "scoring is under way" in rows[4]


FILM = "Not a digital mammogram for presentation, but Secondary Capture Image Storage."


def test_what_is_said_of_a_whole_exam_is_not_said_again_of_its_images() -> None:
    images = [Exclusion(ExclusionReason.NOT_MAMMOGRAPHY, FILM, f"1.2.{number}") for number in range(2)]
    blurred = Exclusion(ExclusionReason.PARTIAL_VIEW, "It shows a part of the breast.", "1.2.3")
    whole = Exclusion(ExclusionReason.NOT_MAMMOGRAPHY, f"No usable image: {FILM}")
    exam = replace(refused(), exclusions=(*images, blurred, whole))

    card = only_card(chart(), Assessment(refused=(exam,)))

    assert f"cannot be scored: It shows a part of the breast; No usable image: {FILM[:-1]} |" in card.detail
    assert card.summary == f"Research: the exam of 2026-05-03 cannot be scored: {FILM[:-1]}"


def test_a_long_table_says_how_many_exams_it_leaves_out() -> None:
    risks = dict.fromkeys(range(2007, 2027), 0.02)
    assert "8 more not shown." in only_card(chart(), Assessment(history_of(risks))).detail


def test_change_slope_and_steepest_interval_are_in_percentage_points() -> None:
    detail = card_of("rising over six years").detail
    assert "Change from 2020-05-03 to 2026-05-03: +4.5 percentage points in 6.0 years (+0.75 per year)." in detail
    assert "Slope over these 7 exams: +0.69 percentage points per year (least squares)." in detail
    assert "+2.0 percentage points between 2025-05-03 and 2026-05-03 (+2.00 per year)." in detail


def test_what_rounds_to_no_change_is_not_called_a_rise() -> None:
    hardly, barely = {2024: 0.02, 2025: 0.0200001, 2026: 0.0200002}, {2024: 0.02, 2025: 0.02, 2026: 0.0206}
    assert "Steepest" not in only_card(chart(), Assessment(history_of(hardly))).detail
    assert "Steepest recent interval: +0.1" in only_card(chart(), Assessment(history_of(barely))).detail


def test_a_single_exam_has_no_change_and_is_not_called_flat() -> None:
    card = card_of("a single exam")
    assert card.summary == "Research: increased 5-year image-based score 6.6 % (threshold 1.7 %)"
    assert "Change" not in card.detail
    assert "No earlier score can be compared with this one, so whether it has moved is not known." in card.detail


UNMEASURABLE = ("no measurable rise", "no measurable fall, below", "no measurable rise, new software")
LIKE_A_CHANGE = r"\b(up|down) \d|[+-]\d+\.\d+ |Slope|Steepest|per year|Change from"


@pytest.mark.parametrize("name", UNMEASURABLE)
def test_below_the_minimum_detectable_change_nothing_reads_like_a_rise_or_a_fall(name: str) -> None:
    card = card_of(name)
    assert "- No measurable change from " in card.detail
    assert "- Minimum detectable change at this site: 0.5 percentage points." in card.detail
    assert re.search(LIKE_A_CHANGE, f"{card.summary}\n{card.detail}") is None


def test_below_the_minimum_detectable_change_the_summary_says_so_too() -> None:
    assert card_of("no measurable rise").summary.endswith("(threshold 1.7 %), no measurable change in 2.0 years")


def test_a_measurable_change_is_shown_beside_the_minimum_detectable_one() -> None:
    card = card_of("a measurable rise")
    assert card.summary == card_of("rising over six years").summary
    assert "+4.5 percentage points in 6.0 years" in card.detail
    assert "Minimum detectable change at this site: 0.5 percentage points." in card.detail
    assert "has not been measured at this site" not in card.detail


def test_where_the_site_has_not_measured_it_the_card_says_so_and_shows_every_change() -> None:
    card = card_of("below")
    assert "How far two scores of one woman differ by chance has not been measured at this site." in card.detail
    assert "Minimum detectable change" not in card.detail
    assert "Change from " in card.detail


def test_a_measurable_recent_rise_is_shown_even_where_first_and_latest_hardly_differ() -> None:
    line = history_of({2024: 0.04, 2025: 0.02, 2026: 0.041}, minimum_detectable_change=HALF_A_POINT)
    detail = only_card(chart(), Assessment(line)).detail
    assert "No measurable change from 2024-05-03 to 2026-05-03" in detail
    assert "Steepest recent interval: +2.1 percentage points between 2025-05-03 and 2026-05-03" in detail
    assert "Slope" not in detail


yearly_risks = st.dictionaries(st.integers(2014, 2026), st.floats(0, 0.3), min_size=1, max_size=13)


@given(risks=yearly_risks, minimum=st.none() | st.floats(0.001, 0.1))
@example(risks={2025: 0.0201, 2026: 0.02519999}, minimum=0.0051)
def test_whatever_the_history_a_card_tells_noise_from_change_and_claims_nothing_else(
    risks: dict[int, float], minimum: float | None
) -> None:
    line = history_of(risks, minimum_detectable_change=minimum)
    card = only_card(chart(), Assessment(line), ACTIVE)
    said = f"{card.summary}\n{card.detail}"
    assert len(card.summary) < 140
    assert ("No measurable change from" in said) is (line.change_is_measurable is False)
    assert ("Change from" in said) is (line.change is not None and line.change_is_measurable is not False)
    assert claims_in(said) == ()


@given(change=st.floats(0, 0.1), minimum=st.floats(0.001, 0.1))
@example(change=0.00499999, minimum=0.005)
def test_what_is_not_measurable_never_looks_like_the_minimum_or_more(change: float, minimum: float) -> None:
    line = history_of({2025: 0.1, 2026: 0.1 + change}, minimum_detectable_change=minimum)
    found = re.search(r"the scores are (\S+) percentage points apart", change_lines(line, MriPolicy()))
    shown = re.search(r"Minimum detectable change at this site: (\S+) percentage", change_lines(line, MriPolicy()))
    assert (found is not None) is (line.change_is_measurable is False)
    assert shown is not None
    assert found is None or Decimal(found[1]) < Decimal(shown[1])


@pytest.mark.parametrize("name", ["a gap", "a gap, below"])
def test_gaps_and_priors_that_cannot_be_scored_are_listed_and_never_taken_for_a_flat_score(name: str) -> None:
    detail = card_of(name).detail
    assert re.search(r"- Gap of [45]\.0 years between 2021-05-03 and 202[56]-05-03: how the score moved", detail)
    assert re.search(r"2023-05-03.*cannot be scored: No usable R MLO view", detail)


def test_a_changed_device_is_marked_in_table_lines_and_summary() -> None:
    card = card_of("new software")
    assert "| HOLOGIC Selenia 1.9 | device or its software changed since the exam before |" in card.detail
    assert "changed between 2025-05-03 and 2026-05-03; scores may shift with it." in card.detail
    rising = card_of("rising, new software")
    assert rising.summary.endswith(", up 2.5 points in 2.0 years (device or software changed)")


@pytest.mark.parametrize(
    ("first", "latest", "end"),
    [
        (0.021, 0.0254, ""),
        (0.0211, 0.0219, ""),
        (0.03, 0.03, ""),
        (0.0254, 0.021, ""),
        (0.021, 0.026, ", up 0.5 points in 2.0 years"),
        (0.026, 0.021, ", down 0.5 points in 2.0 years"),
        (0.09, 0.021, ", down 6.9 points in 2.0 years"),
    ],
)
def test_where_chance_has_not_been_measured_a_summary_is_silent_on_a_change_of_less_than_half_a_point(
    first: float, latest: float, end: str
) -> None:
    card = only_card(chart(), Assessment(history_of({2024: first, 2026: latest})))
    shown = f"{Decimal(str(latest)) * 100:.1f} %"
    assert card.summary == f"Research: increased 5-year image-based score {shown} (threshold 1.7 %){end}"
    assert "Change from 2024-05-03 to 2026-05-03: " in card.detail


def test_where_chance_has_been_measured_a_summary_tells_every_change_that_is_more() -> None:
    line = history_of({2024: 0.021, 2026: 0.0242}, minimum_detectable_change=0.003)
    assert only_card(chart(), Assessment(line)).summary.endswith("(threshold 1.7 %), up 0.3 points in 2.0 years")


def test_the_remark_on_the_device_gives_way_where_a_summary_is_too_long_for_it() -> None:
    policy = MriPolicy(threshold=0.0203333333)
    line = history_of({2024: 0.0101, 2025: 0.021}, replace(NEW_SOFTWARE, score=scored(0.02033333331).score))
    summary = only_card(chart(), Assessment(line), Site(mode=Mode.RESEARCH, policy=policy)).summary
    assert summary.endswith("up 1.0 points in 2.0 years")


def test_a_unit_that_an_exam_does_not_name_is_not_taken_for_the_same_nor_for_another() -> None:
    card = card_of("a unit without a name")
    assert "Not every exam names its device and software, so a change of them may be missed here." in card.detail
    assert "Not every exam names" not in card_of("new software").detail


def test_exams_before_the_six_priors_are_shown_and_not_counted() -> None:
    detail = card_of("nine exams").detail
    assert "Change from 2020-05-03 to 2026-05-03" in detail
    assert "2 older exams are not part of the line, which is of the newest 7 exams." in detail
    assert "| 2019-05-03 | 1.2 % | HOLOGIC Selenia 1.8 | older than the line, not counted in the change |" in detail
    assert detail.count("older than the line") == 2


def test_of_two_exams_of_one_day_the_higher_score_is_judged_and_the_other_is_shown_and_not_counted() -> None:
    card = card_of("two exams of one day")
    assert "increased 5-year image-based score 2.5 %" in card.summary
    assert "Change from 2025-05-03 to 2026-05-03: +0.6 percentage points" in card.detail
    assert "1 exam is not part of the line: of exams of one day the highest score counts." in card.detail
    assert "not counted: another exam of this day has the higher score" in card.detail


def test_an_exam_of_another_class_is_named_as_not_part_of_the_line() -> None:
    short, long = card_of("an older exam of another model"), card_of("newest of another model, over before")
    for card in (short, long):
        assert "1 exam is not part of the line: another model version or kind of image." in card.detail
    assert "| 2026-05-03 | 1.0 % | HOLOGIC Selenia 1.8 | not comparable (another model version" in long.detail


def test_a_study_that_another_model_has_scored_as_well_is_not_called_left_out() -> None:
    line = history_of(RISING, of_another_model(scored()))
    assert "not part of the line" not in change_lines(line, MriPolicy())
    assert len(line.apart) == 1


def test_the_chart_is_told_of_the_change_without_its_yearly_rates() -> None:
    note = " ".join(change_note(history_of(), MriPolicy()))
    assert note.startswith(
        "Change from 2020-05-03 to 2026-05-03: +4.5 percentage points in 6.0 years. First of these 7"
    )
    assert "per year" not in note


@pytest.mark.parametrize("risk", [0.01, 0.03])
def test_warnings_of_the_exam_are_on_the_long_card_and_on_the_short_one(risk: float) -> None:
    assert (
        "Device not validated."
        in only_card(chart(), one_exam(scored(risk, warnings=("Device not validated.",)))).detail
    )


@pytest.mark.parametrize("name", ["MRI orders unread", "history unread"])
def test_what_could_not_be_read_is_stated_beside_the_suggestion(name: str) -> None:
    assert "- **unknown**: " in card_of(name).detail


def test_problems_of_the_chart_and_notes_of_the_assessment_are_stated() -> None:
    problem, note = "1 study of another patient was left out.", "The archive was slow."
    for line in (history_of(), EARLIER_UNDER):
        detail = only_card(chart(problems=(problem,)), Assessment(line, notes=(note,))).detail
        assert f"- {problem}\n- {note}" in detail


@pytest.mark.parametrize(("risk", "by_ehr"), [(0.012, date(2024, 5, 3)), (0.066, date(2024, 5, 3)), (0.066, None)])
def test_where_the_ehr_and_the_images_give_different_days_the_card_says_so(risk: float, by_ehr: date | None) -> None:
    exam = scored(risk)
    listed = replace(exam_reference(), study_uid=exam.study_uid, performed_on=by_ehr)
    card = only_card(chart(exams=ImagingHistory((listed,))), one_exam(exam))
    said = "The EHR dates an exam 2024-05-03, its images 2026-05-03: check whether they are the images of that exam."
    assert (f"- {said}" in card.detail) is (said in card.reasoning.unknowns) is (by_ehr is not None)


@pytest.mark.parametrize("by_ehr", [date(2026, 5, 2), date(2026, 5, 4)])
@pytest.mark.parametrize("study_uid", [None, scored().study_uid])
def test_a_day_that_differs_by_one_may_be_that_of_another_time_zone(by_ehr: date, study_uid: str | None) -> None:
    listed = replace(exam_reference(), study_uid=study_uid, performed_on=by_ehr, resource=scored().imaging_study)
    two = replace(listed, performed_on=date(2026, 5, 1))
    assert contradictions([listed], [scored()]) == ()
    assert len(contradictions([two], [scored()])) == 1


def test_problems_are_told_as_sentences() -> None:
    detail = only_card(chart(problems=("left out 1 order of another patient",)), one_exam(scored(0.012))).detail
    assert "- Left out 1 order of another patient.\n" in detail


def test_a_summary_has_one_sentence_also_where_a_problem_has_two() -> None:
    held = pending(problem="The images name another patient. Check in the archive whose they are.")
    card = only_card(chart(), Assessment(pending=(held,)))
    assert card.summary.endswith("is not scored yet: The images name another patient")
    assert "Check in the archive whose they are" in card.detail


def test_a_score_beside_an_exam_without_a_date_is_not_called_earlier() -> None:
    assessment = Assessment(EARLIER_UNDER, pending=(pending(None),))
    assert "; other score 1.1 % of 2025-05-03" in only_card(chart(), assessment).summary


def test_an_exam_on_record_that_nobody_assessed_is_stated() -> None:
    assert (
        "Exams on record: 1, newest date 2026-05-03; none of them was assessed."
        in card_of("exams nobody assessed").detail
    )


def test_a_score_just_over_the_threshold_never_looks_equal_to_it() -> None:
    card = only_card(chart(), one_exam(scored(0.01701)))
    assert "score 1.701 % (threshold 1.7 %)" in card.summary
    assert "| 1.701 % |" in card.detail


def test_a_clinical_model_in_active_mode_has_no_banner() -> None:
    card = only_card(chart(), one_exam(scored(clinical=True)), Site(mode=Mode.ACTIVE))
    assert card.detail.startswith("Image-based 5-year risk of breast cancer")


def test_a_model_that_is_not_clinical_is_called_so_even_without_a_banner_of_its_own() -> None:
    card = only_card(chart(), one_exam(), Site(mode=Mode.ACTIVE))
    assert card.detail.startswith("**This model is not for clinical use.**")


@given(name=st.text(max_size=60), problem=st.text(min_size=1, max_size=300))
def test_text_from_outside_breaks_neither_table_nor_summary(name: str, problem: str) -> None:
    exam = scored(0.03, date(2025, 5, 3), device=AcquisitionDevice("A|<b>", name), warnings=(problem,))
    card = only_card(chart(), Assessment(Trajectory((exam,)), (refused(sentence=problem),), (pending(None, problem),)))
    rows = [row for row in card.detail.splitlines() if row.startswith("| ")]
    assert len(rows) == 5
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}
    assert "<b" not in card.detail
    assert len(card.summary) < 140


@given(problem=st.text(min_size=1, max_size=300).filter(str.strip))
@example(problem="The image archive did not answer. " * 9)
@example(problem="\N{MICROSCOPE}" * 100)
def test_a_long_problem_is_cut_to_fit_the_summary(problem: str) -> None:
    card = only_card(chart(), Assessment(pending=(pending(problem=problem),)))
    assert card.summary.startswith("Research: the exam of 2026-05-03 is not scored yet")
    assert len(card.summary) < 140
    assert not set(card.summary) & set("<>\n")
