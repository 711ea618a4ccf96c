"""Twenty thousand hostile calls: none breaks the service, hangs, gives anything away, or changes another's answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from cds.store.database import open_database
from hooks.service import Service
from tests.hostile.asking import (
    ORDER_SELECT,
    ORDER_SIGN,
    PATIENT_VIEW,
    ROUTES,
    SERVICES,
    URLS,
    Attempt,
    Hostility,
    hostility,
    posting,
)
from tests.hostile.charts import foreign_servers, hers_at_every_place, odd_charts
from tests.hostile.envelopes import URL, every_method, odd_headers, odd_paths, odd_types
from tests.hostile.tokens import accepted_token, forged_tokens, odd_tokens
from tests.hostile.values import CONSTANTS, hostile_changes, places, replaced
from tests.hostile.women import ADA, WOMEN, Json, Woman, feedback, hook_call
from tests.postgresql import PostgresqlServer

pytestmark = pytest.mark.slow

ALL_TOGETHER = 20_000
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def changed_calls(service: Service, step: int = 1) -> Iterator[Attempt]:
    """Valid calls of both women in turn, with one place changed; of all changes one in `step`."""
    changes = zip(*(hostile_changes(hook_call(service, woman)) for woman in WOMEN), strict=True)
    for number, bodies in enumerate(islice(changes, None, None, step)):
        woman = number % len(WOMEN)
        yield posting(URLS[service.hook], bodies[woman], WOMEN[woman])


def for_each_service(attempts: Callable[[Service], Iterable[Attempt]]) -> Iterator[Attempt]:
    """The same for every service."""
    for service in SERVICES:
        yield from attempts(service)


@dataclass(frozen=True)
class Family:
    """Calls that are hostile in one way, and how many there are at least."""

    attempts: Callable[[], Iterable[Attempt]]
    least: int


# A step that does not divide the number of changes brings each of them to some places.
FAMILIES = {
    "every place of order-select": Family(partial(changed_calls, ORDER_SELECT), 6400),
    "every place of order-sign": Family(partial(changed_calls, ORDER_SIGN, step=5), 1260),
    "every place of patient-view": Family(partial(changed_calls, PATIENT_VIEW, step=5), 1140),
    "every method": Family(every_method, 240),
    "odd paths": Family(odd_paths, 1200),
    "odd headers": Family(odd_headers, 1700),
    "broken bodies": Family(odd_types, 540),
    "other servers": Family(partial(for_each_service, foreign_servers), 580),
    "the other woman's": Family(partial(for_each_service, hers_at_every_place), 990),
    "odd charts": Family(partial(odd_charts, ORDER_SELECT), 430),
}
GUARDED = {"forged tokens": Family(forged_tokens, 400), "odd tokens": Family(odd_tokens, 390)}
FEEDBACK = 1900
GENERATED_BODIES, GENERATED_CHANGES = 2000, 1200


def answers(asking: Hostility) -> list[str]:
    """What both women's cards say now, but for the names that every card has of its own."""
    calls = [posting(URLS[ORDER_SELECT.hook], hook_call(ORDER_SELECT, woman), woman, 200) for woman in WOMEN]
    return [UUID.sub("", asking.make(call).body.decode()) for call in calls]


@pytest.mark.parametrize("name", FAMILIES)
def test_no_hostile_call_breaks_hangs_leaks_or_changes_the_next_answer(
    name: str, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    asking = hostility(engine, caplog)
    before = answers(asking)
    assert all(woman.shown in said for woman, said in zip(WOMEN, before, strict=True))

    made = [asking.make(attempt) for attempt in FAMILIES[name].attempts()]

    assert asking.wrong == []
    assert len(made) >= FAMILIES[name].least
    assert answers(asking) == before


@pytest.mark.parametrize("name", GUARDED)
def test_only_the_ehrs_own_tokens_are_let_in(name: str, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    asking = hostility(engine, caplog, guarded=True)

    made = [asking.make(attempt) for attempt in (accepted_token(), *GUARDED[name].attempts(), accepted_token())]

    assert asking.wrong == []
    assert len(made) >= GUARDED[name].least


def shown_card(asking: Hostility) -> str:
    """The uuid of a card that was shown."""
    call = posting(URLS[ORDER_SELECT.hook], hook_call(ORDER_SELECT, ADA), ADA, 200)
    uuid: str = json.loads(asking.make(call).body)["cards"][0]["uuid"]
    return uuid


def test_hostile_feedback_breaks_nothing(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    asking = hostility(engine, caplog)
    card = shown_card(asking)

    for url in URLS.values():
        for body in hostile_changes(feedback(card)):
            asking.make(posting(f"{url}/feedback", body))

    assert asking.wrong == []
    assert asking.made >= FEEDBACK


@pytest.mark.integration
def test_texts_that_postgresql_refuses_do_not_reach_it(
    postgresql_server: PostgresqlServer, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_database(postgresql_server.new_database())
    asking = hostility(engine, caplog)
    card = shown_card(asking)

    for refused in ("Practitioner/\x00", "Practitioner/\ud800"):
        for path, body in ((f"{URL}/feedback", feedback(card)), (URL, hook_call(PATIENT_VIEW, ADA))):
            for at in places(body):
                asking.make(posting(path, replaced(body, at, refused), ADA))
    engine.dispose()

    assert asking.wrong == []


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda part: st.lists(part, max_size=4) | st.dictionaries(ANY_TEXT, part, max_size=4),
)
THOROUGH = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def test_whatever_json_is_sent_anywhere_is_answered(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    asking = hostility(engine, caplog)

    @given(st.sampled_from(ROUTES), ANY_JSON)
    @settings(THOROUGH, max_examples=GENERATED_BODIES)
    def send(path: str, body: Any) -> None:
        asking.make(posting(path, body))
        assert asking.wrong == []

    send()
    assert asking.made >= GENERATED_BODIES


@st.composite
def spoilt_calls(draw: st.DrawFn) -> tuple[Service, Woman, Json]:
    """A valid call with several places changed, one after the other."""
    service, woman = draw(st.sampled_from(SERVICES)), draw(st.sampled_from(WOMEN))
    body = hook_call(service, woman)
    for _ in range(draw(st.integers(2, 4))):
        at = draw(st.sampled_from([place for place in places(body) if place]))
        value = draw(st.sampled_from(CONSTANTS) | ANY_JSON)
        body = replaced(body, at, value)
    return service, woman, body


def test_calls_that_are_wrong_in_several_places_are_answered(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    asking = hostility(engine, caplog)

    @given(spoilt_calls())
    @settings(THOROUGH, max_examples=GENERATED_CHANGES)
    def send(call: tuple[Service, Woman, Json]) -> None:
        service, woman, body = call
        asking.make(posting(URLS[service.hook], body, woman))
        assert asking.wrong == []

    send()
    assert asking.made >= GENERATED_CHANGES


def test_that_makes_twenty_thousand_hostile_calls() -> None:
    families = sum(family.least for family in (*FAMILIES.values(), *GUARDED.values()))

    assert families + FEEDBACK + GENERATED_BODIES + GENERATED_CHANGES >= ALL_TOGETHER
