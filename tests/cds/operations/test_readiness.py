"""Whether the service can do its work."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from cds.errors import EhrUnreachable
from cds.operations.readiness import Lookout, Readiness
from cds.operations.sign_of_life import LASTS, SCHEDULE, checked_model
from cds.store.runs import RunRecords
from tests.cds.builders import MODEL, NOW, Clock

MODEL_SIGN = checked_model(MODEL.key)


def lookout(engine: Engine, clock: Clock | None = None, **outside: Callable[[], str]) -> Lookout:
    return Lookout(RunRecords(engine), MODEL.key, clock or Clock(), outside)


def sign(engine: Engine, *names: str) -> None:
    for name in names:
        RunRecords(engine).sign(name, "worker", NOW, LASTS)


def test_it_is_ready_while_a_worker_with_the_sites_model_is_there(engine: Engine) -> None:
    clock = Clock()
    sign(engine, MODEL_SIGN, SCHEDULE)

    assert lookout(engine, clock).look() == Readiness(True, True, True)
    assert lookout(engine, clock).look().is_ready

    clock.advance(LASTS)
    assert lookout(engine, clock).look() == Readiness(True, False, False)


@pytest.mark.parametrize(
    ("signs", "found"),
    [
        ((), Readiness(True, False, False)),
        ((SCHEDULE,), Readiness(True, False, True)),
        ((SCHEDULE, checked_model("an older model")), Readiness(True, False, True)),
        ((MODEL_SIGN,), Readiness(True, True, False)),
    ],
)
def test_what_is_missing_is_told_and_it_is_not_ready(engine: Engine, signs: tuple[str, ...], found: Readiness) -> None:
    sign(engine, *signs)

    assert lookout(engine).look() == found
    assert not found.is_ready


def test_a_store_that_fails_is_not_ready_and_nothing_else_is_known(engine: Engine) -> None:
    sign(engine, MODEL_SIGN, SCHEDULE)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE lease"))

    assert lookout(engine).look() == Readiness(False, False, False)


def test_systems_outside_are_told_of_and_do_not_count(engine: Engine) -> None:
    def silent() -> str:
        raise EhrUnreachable("no connection to the EHR")

    def broken() -> str:
        raise ValueError("MRN-1")

    sign(engine, MODEL_SIGN, SCHEDULE)
    looking = lookout(engine, main=lambda: "answers", other=silent, third=broken)

    assert looking.look().is_ready
    assert looking.outside() == {
        "main": "answers",
        "other": "no connection to the EHR",
        "third": "an unforeseen fault (ValueError)",
    }


def test_whoever_looks_often_does_not_have_them_asked_often(engine: Engine) -> None:
    asked: list[int] = []

    def ask() -> str:
        asked.append(1)
        return "answers"

    looking = lookout(engine, main=ask)
    looking.look()
    assert asked == []
    for _ in range(3):
        looking.outside()
    assert asked == [1]
    assert lookout(engine).outside() == {}
