"""A card that was overridden with a reason rests for the same patient and exam, as long as the site says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.cards import CardKind
from hooks.contract import Card, Withheld
from hooks.earlier_cards import EarlierCard
from hooks.order_select import SERVICE
from hooks.site import Mode
from hooks.withholding import DECIDE_LATER
from model.domain import Assessment, Trajectory
from tests.hooks.builders import SITE, TODAY, call, history_of, one_exam, order_select, pending, refused, scored

QUIET_DAYS = SITE.quiet_days_after_override
SCORED_AT = datetime(2023, 5, 4, 3, tzinfo=UTC)
KNOWN = one_exam(scored(scored_at=SCORED_AT))


def card_after(*earlier: EarlierCard, mode: Mode = Mode.RESEARCH, assessment: Assessment = KNOWN) -> Card:
    (card,) = SERVICE.answer(call(order_select(), assessment, replace(SITE, mode=mode), earlier))
    return card


def overridden(days_ago: int, assessment: Assessment = KNOWN) -> EarlierCard:
    """The card of an assessment, shown and overridden with a reason some days ago."""
    card = card_after(assessment=assessment)
    day = TODAY - timedelta(days=days_ago)
    shown_at, refusal = datetime.combine(day, time(9), UTC), card.reasoning.refusal
    return EarlierCard(card.kind, card.study_uid, shown_at, day, refusal=refusal)


@given(days=st.integers(0, 1000))
def test_it_rests_for_as_many_days_as_the_site_says(days: int) -> None:
    expected = Withheld.OVERRIDDEN if days < QUIET_DAYS else None
    assert card_after(overridden(days)).withheld is expected


@pytest.mark.parametrize("changes", [{"study_uid": "1.2.3"}, {"kind": "not-over"}, {"study_uid": None}])
def test_a_card_of_another_exam_or_kind_is_shown(changes: dict[str, str | None]) -> None:
    assert card_after(replace(overridden(0), **changes)).withheld is None  # type: ignore[arg-type] # its texts


def test_a_card_that_was_shown_and_not_overridden_is_shown_again() -> None:
    assert card_after(replace(overridden(0), overridden_on=None)).withheld is None


def test_no_days_of_rest_are_none() -> None:
    (card,) = SERVICE.answer(
        call(order_select(), site=replace(SITE, quiet_days_after_override=0), earlier=(overridden(0),))
    )
    assert card.withheld is None


def test_silence_is_named_only_where_the_card_would_have_been_shown() -> None:
    assert card_after(mode=Mode.SILENT).withheld is Withheld.SILENT
    assert card_after(overridden(0), mode=Mode.SILENT).withheld is Withheld.OVERRIDDEN


def test_an_exam_that_cannot_be_scored_rests_by_itself() -> None:
    unscorable = Assessment(refused=(refused(),))
    before = overridden(0, unscorable)
    assert card_after(before, assessment=unscorable).withheld is Withheld.OVERRIDDEN
    assert card_after(before).withheld is None


def test_another_exam_that_cannot_be_scored_is_told_of_also_where_the_judged_one_is_the_same() -> None:
    judged = history_of({2024: 0.02})
    first = Assessment(judged, refused=(refused(),))
    then = Assessment(judged, refused=(refused(), replace(refused(TODAY, "Implant."), study_uid="1.2.100")))
    before = overridden(0, first)
    assert card_after(before, assessment=first).withheld is Withheld.OVERRIDDEN
    assert card_after(before, assessment=then).withheld is None


MIXED = "The images carry different patient IDs; check in the PACS whose exam this is."


@pytest.mark.parametrize("judged", [None, history_of({2024: 0.02})])
def test_other_reasons_why_an_exam_cannot_be_scored_are_told_again(judged: Trajectory | None) -> None:
    first, then = Assessment(judged, (refused(),)), Assessment(judged, (refused(sentence=MIXED),))
    before = overridden(0, first)
    assert card_after(before, assessment=first).withheld is Withheld.OVERRIDDEN
    assert card_after(before, assessment=then).withheld is None
    # A card from before its reasons were kept.
    assert card_after(replace(before, refusal=None), assessment=then).withheld is Withheld.OVERRIDDEN


def test_the_same_reasons_in_another_order_are_no_others() -> None:
    twice = (*refused().exclusions, *refused(sentence=MIXED).exclusions)
    first, then = (Assessment(refused=(replace(refused(), exclusions=given),)) for given in (twice, twice[::-1] * 2))
    assert card_after(overridden(0, first), assessment=then).withheld is Withheld.OVERRIDDEN


@pytest.mark.parametrize(("days_ago", "expected"), [(0, Withheld.OVERRIDDEN), (1, None), (60, None)])
def test_what_is_to_be_decided_later_rests_for_the_day(days_ago: int, expected: Withheld | None) -> None:
    assert card_after(replace(overridden(days_ago), override_reason=DECIDE_LATER)).withheld is expected
    assert card_after(replace(overridden(days_ago), override_reason="patient-declined")).withheld is not None


def test_what_is_to_be_decided_later_does_not_rest_where_nothing_does() -> None:
    site, before = replace(SITE, quiet_days_after_override=0), replace(overridden(0), override_reason=DECIDE_LATER)
    (card,) = SERVICE.answer(call(order_select(), site=site, earlier=(before,)))
    assert card.withheld is None


def test_to_be_decided_later_is_one_of_the_reasons_that_are_offered() -> None:
    assert DECIDE_LATER in {reason.code for reason in SITE.override_reasons}


@pytest.mark.parametrize("problem", [None, "The images name another patient."])
@pytest.mark.parametrize("line", [None, history_of({2024: 0.02})])
def test_no_override_silences_what_could_not_be_looked_at(line: Trajectory | None, problem: str | None) -> None:
    unknown = Assessment(line, pending=(pending(problem=problem),))
    before = overridden(0, unknown)
    assert before.kind == (CardKind.HELD if problem else CardKind.UNDER_WAY)
    assert card_after(before, assessment=unknown).withheld is None


@pytest.mark.parametrize("assessment", [KNOWN, Assessment(KNOWN.trajectory, refused=(refused(TODAY),))])
def test_an_override_holds_only_for_a_score_that_was_there(assessment: Assessment) -> None:
    of_it = replace(overridden(0, assessment), shown_at=SCORED_AT)
    of_the_last = replace(of_it, shown_at=SCORED_AT - timedelta(seconds=1))
    assert card_after(of_it, assessment=assessment).withheld is Withheld.OVERRIDDEN
    assert card_after(of_the_last, assessment=assessment).withheld is None
