"""A check comes to one finding, whatever happens."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cds.errors import EhrUnreachable
from cds.operations.checks import Check, Finding, NothingToCheck, Outcome
from model.errors import SelfCheckFailed


def finding(look: Callable[[], str]) -> Finding:
    return Check("part", look, "do this").finding()


def failing(error: Exception) -> Callable[[], str]:
    def look() -> str:
        raise error

    return look


def test_what_is_found_is_told_without_a_mend() -> None:
    assert finding(lambda: "answers") == Finding("part", Outcome.OK, "answers")


@pytest.mark.parametrize("error", [EhrUnreachable("no connection"), SelfCheckFailed("no connection")])
def test_what_is_foreseen_is_told_with_the_mend(error: Exception) -> None:
    assert finding(failing(error)) == Finding("part", Outcome.FAILED, "no connection", "do this")


def test_of_what_is_not_foreseen_only_the_kind_is_told() -> None:
    said = "an unforeseen fault (ValueError)"

    assert finding(failing(ValueError("https://ehr.example?patient=p1"))) == Finding(
        "part", Outcome.FAILED, said, "do this"
    )


def test_where_there_is_nothing_to_check_nothing_fails() -> None:
    assert finding(failing(NothingToCheck("no such part"))) == Finding("part", Outcome.LEFT_OUT, "no such part")
