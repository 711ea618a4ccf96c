"""The application as an outside client meets it, and every answer that it can give."""

from __future__ import annotations

import pytest

from tests.cds.conftest import engine
from tests.cds.web.conftest import service
from tests.conformance.family import Answer, answers

__all__ = ["engine", "service"]


@pytest.fixture(scope="session")
def family() -> list[Answer]:
    """Every answer with every card: what the checklist asks of cards holds for each of them."""
    return answers()


@pytest.fixture
def cards(family: list[Answer]) -> list[dict[str, object]]:
    """Every card of the family."""
    return [card for answer in family for card in answer.cards]
