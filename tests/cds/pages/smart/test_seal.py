"""What a browser keeps: opened as it was sealed, for its time and purpose, and read by nobody else."""

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.errors import LaunchRefused, LinkExpired
from cds.pages.smart.seal import Seal
from tests.cds.builders import Clock

SECRET = "a-key-that-seals-for-the-tests"
TOLD = {"patient": "p1", "banner": {"name": "Ada Example"}}


def seal(clock: Clock, purpose: str = "page", secret: str = SECRET) -> Seal:
    return Seal(secret, purpose, timedelta(minutes=10), clock)


def test_what_was_sealed_is_opened_until_its_time_is_over() -> None:
    clock = Clock()
    kept = seal(clock).sealed(TOLD)

    clock.advance(timedelta(minutes=10))
    assert seal(clock).opened(kept) == TOLD

    clock.advance(timedelta(seconds=1))
    with pytest.raises(LinkExpired):
        seal(clock).opened(kept)


@pytest.mark.parametrize("other", [seal(Clock(), "launch"), seal(Clock(), secret="another key that somebody made up")])
def test_what_another_purpose_or_key_has_sealed_is_refused(other: Seal) -> None:
    with pytest.raises(LaunchRefused, match="damaged, or is not of this service"):
        seal(Clock()).opened(other.sealed(TOLD))


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_other_text_is_refused(written: str) -> None:
    with pytest.raises(LaunchRefused):
        seal(Clock()).opened(written)


@settings(deadline=None)
@given(st.data())
def test_with_any_character_altered_it_is_refused_or_the_same(data: st.DataObject) -> None:
    kept = seal(Clock()).sealed(TOLD)
    place = data.draw(st.integers(0, len(kept) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda character: character != kept[place]))

    with suppress(LaunchRefused, LinkExpired):
        # Of base64's last character some bits stand for nothing.
        assert seal(Clock()).opened(kept[:place] + other + kept[place + 1 :]) == TOLD


def test_it_shows_neither_what_it_holds_nor_its_key() -> None:
    kept = seal(Clock()).sealed(TOLD)

    readable = base64.urlsafe_b64decode(kept)
    assert not [one for one in (b"Example", b"patient", b"banner") if one in readable]
    assert seal(Clock()).sealed(TOLD) != kept
    assert SECRET not in repr(seal(Clock()))
