"""Links: each opens its own card, for its time, and says nothing about a patient."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.errors import LinkExpired, LinkRefused
from cds.pages.links import CardLinks
from tests.cds.builders import Clock
from tests.cds.pages.conftest import SECRET

CARD = "0b3e1c9a-4f5d-4a0e-9c76-0d1c2b3a4f50"


def links(clock: Clock, secret: str = SECRET) -> CardLinks:
    return CardLinks("https://cds.example", secret, timedelta(minutes=60), clock)


def token(url: str) -> str:
    return url.rpartition("/")[2]


def test_a_link_opens_its_card_until_its_time_is_over() -> None:
    clock = Clock()
    made = token(links(clock).url(CARD, "main"))

    clock.advance(timedelta(minutes=60))
    assert links(clock).opened(made) == (CARD, "main")

    clock.advance(timedelta(seconds=1))
    with pytest.raises(LinkExpired, match="has expired"):
        links(clock).opened(made)


def test_a_link_of_another_key_opens_nothing() -> None:
    made = token(links(Clock(), "another key, of which nobody here knows").url(CARD, "main"))

    with pytest.raises(LinkRefused, match="was not made by this service"):
        links(Clock()).opened(made)


@given(st.data())
def test_a_link_with_any_character_altered_opens_nothing(data: st.DataObject) -> None:
    made = token(links(Clock()).url(CARD, "main"))
    place = data.draw(st.integers(0, len(made) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda character: character != made[place]))
    altered = made[:place] + other + made[place + 1 :]

    try:
        assert links(Clock()).opened(altered) == (CARD, "main")
        # The last character of a signature has two bits that stand for nothing.
        assert place == len(made) - 1
    except LinkRefused:
        pass


def test_a_link_holds_the_cards_uuid_and_the_ehrs_name_and_nothing_else() -> None:
    payload = token(links(Clock()).url(CARD, "main")).split(".")[0]

    assert json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) == [CARD, "main"]


def test_the_key_does_not_show_itself() -> None:
    assert SECRET not in repr(links(Clock()))
