"""A card that was overridden with a reason rests for the same patient and exam, as long as the site says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.contract import Card, Withheld
from hooks.earlier_cards import EarlierCard
from hooks.order_select import SERVICE
from hooks.site import Mode
from model.domain import Assessment
from tests.hooks.builders import SITE, TODAY, call, order_select, refused

QUIET_DAYS = SITE.quiet_days_after_override


def card_after(*earlier: EarlierCard, mode: Mode = Mode.RESEARCH, assessment: Assessment | None = None) -> Card:
    (card,) = SERVICE.answer(call(order_select(), assessment, replace(SITE, mode=mode), earlier))
    return card


def overridden(days_ago: int, **changes: str | None) -> EarlierCard:
    """The same card, overridden with a reason some days ago."""
    card = card_after()
    day = TODAY - timedelta(days=days_ago)
    return replace(EarlierCard(card.kind, card.study_uid, day, day), **changes)  # type: ignore[arg-type] # its texts


@given(days=st.integers(0, 1000))
def test_it_rests_for_as_many_days_as_the_site_says(days: int) -> None:
    expected = Withheld.OVERRIDDEN if days < QUIET_DAYS else None
    assert card_after(overridden(days)).withheld is expected


@pytest.mark.parametrize("changes", [{"study_uid": "1.2.3"}, {"kind": "not-over"}, {"study_uid": None}])
def test_a_card_of_another_exam_or_kind_is_shown(changes: dict[str, str | None]) -> None:
    assert card_after(overridden(0, **changes)).withheld is None


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
    card = card_after(assessment=unscorable)
    before = EarlierCard(card.kind, card.study_uid, TODAY, TODAY)
    assert card_after(before, assessment=unscorable).withheld is Withheld.OVERRIDDEN
    assert card_after(before).withheld is None
