"""Tokens that were accepted once: by one of many who show them at the same moment, on every database."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlmodel import Session, func, select

from cds.store.database import connect
from cds.store.seen_tokens import CLEARED_AT_ONCE, CLEARED_EVERY, KEPT_LONGER, SeenTokens
from cds.store.tables import SeenToken
from tests.cds.builders import NOW
from tests.cds.store.asking import all_at_once

ISSUER = "https://ehr.example/r4"
UNTIL = NOW + timedelta(minutes=5)


@pytest.fixture
def seen(engine: Engine) -> SeenTokens:
    return SeenTokens(engine)


def kept(engine: Engine) -> int:
    """How many tokens are remembered."""
    with Session(engine) as session:
        return session.exec(select(func.count()).select_from(SeenToken)).one()


def test_a_token_is_new_once(seen: SeenTokens) -> None:
    assert seen.remember(ISSUER, "t1", UNTIL, NOW)
    assert not seen.remember(ISSUER, "t1", UNTIL, NOW)
    assert not seen.remember(ISSUER, "t1", UNTIL + timedelta(hours=1), NOW)
    assert seen.remember(ISSUER, "t2", UNTIL, NOW)
    assert seen.remember("https://other.example", "t1", UNTIL, NOW)


def test_other_processes_know_it_too(engine: Engine, database_url: str, seen: SeenTokens) -> None:
    seen.remember(ISSUER, "t1", UNTIL, NOW)
    other = connect(database_url)

    assert not SeenTokens(other).remember(ISSUER, "t1", UNTIL, NOW)
    other.dispose()


@pytest.mark.parametrize("jti", ["", "x" * 100_000, "\x00", "\ud800", "'; DROP TABLE seen_token; --", "\u00e9", " t1"])
def test_any_text_is_a_name(seen: SeenTokens, jti: str) -> None:
    assert seen.remember(ISSUER, "t1", UNTIL, NOW)
    assert seen.remember(ISSUER, jti, UNTIL, NOW)
    assert not seen.remember(ISSUER, jti, UNTIL, NOW)


def test_its_name_is_not_kept_as_it_stands(engine: Engine, seen: SeenTokens) -> None:
    seen.remember(ISSUER, "t1", UNTIL, NOW)

    with Session(engine) as session:
        row = session.exec(select(SeenToken)).one()
    assert (row.issuer, len(row.jti), row.until) == (ISSUER, 64, UNTIL)


RUNS = itertools.count()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shown=st.lists(st.sampled_from("abc"), min_size=2, max_size=12))
def test_of_all_who_show_a_token_at_once_exactly_one_is_the_first(
    database_url: str, engine: Engine, shown: list[str]
) -> None:
    # Two processes, as far as the database can tell: each has its own connections.
    other, run = connect(database_url), next(RUNS)
    memories = itertools.cycle([SeenTokens(engine), SeenTokens(other)])

    def show(memory: SeenTokens, jti: str) -> str | None:
        return jti if memory.remember(ISSUER, f"{jti}-{run}", UNTIL, NOW) else None

    accepted = all_at_once([partial(show, memory, jti) for memory, jti in zip(memories, shown, strict=False)])
    other.dispose()

    assert Counter(accepted) - Counter({None: len(shown)}) == Counter(set(shown))


def test_old_ones_are_cleared_now_and_then_in_batches_and_no_others(engine: Engine, seen: SeenTokens) -> None:
    old, fresh = NOW - KEPT_LONGER - timedelta(seconds=1), NOW - KEPT_LONGER
    with Session(engine) as session:
        session.add_all(SeenToken(issuer="old", jti=str(n), until=old) for n in range(CLEARED_AT_ONCE + 10))
        session.add(SeenToken(issuer="fresh", jti="x", until=fresh))
        session.commit()
    before = kept(engine)

    for number in range(CLEARED_EVERY - 1):
        seen.remember(ISSUER, str(number), UNTIL, NOW)
    assert kept(engine) == before + CLEARED_EVERY - 1
    seen.remember(ISSUER, "the next", UNTIL, NOW)
    assert kept(engine) == before + CLEARED_EVERY - CLEARED_AT_ONCE

    for number in range(CLEARED_EVERY):
        seen.remember(ISSUER, f"later {number}", UNTIL, NOW)
    with Session(engine) as session:
        assert set(session.exec(select(SeenToken.issuer).distinct())) == {ISSUER, "fresh"}


def test_old_ones_that_cannot_be_cleared_do_not_make_a_call_fail(
    engine: Engine, seen: SeenTokens, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(CLEARED_EVERY - 1):
        seen.remember(ISSUER, str(number), UNTIL, NOW)
    # The moment has no time zone, which the store refuses: any fault of the clearing is like it.
    assert seen.remember(ISSUER, "last", UNTIL, NOW.replace(tzinfo=None))
    assert caplog.messages == ["old tokens could not be cleared: StatementError"]
