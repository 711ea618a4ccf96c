"""The pages for a site name every error and every refusal that it may see, and none that there is not."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import cds
import model
from cds.errors import MammoTrendError
from cds.operations.checks import NothingToCheck
from hooks.prefetch import PREFETCH
from model.domain import ExclusionReason
from model.errors import ModelError
from tests.servers import CHECKOUT

PAGE = (CHECKOUT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
EPIC = (CHECKOUT / "docs" / "connect-epic.md").read_text(encoding="utf-8")
NEVER_SEEN = (MammoTrendError, NothingToCheck)
"""The root of the tree is never raised itself; the other only has a check left out."""


def errors() -> Iterator[type[Exception]]:
    """Every class of both trees, in whichever module it is."""
    for package in (cds, model):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith("cds.store.migrations"):
                importlib.import_module(module.name)
    found: list[type[Exception]] = [MammoTrendError, ModelError]
    for each in found:
        found.extend(each.__subclasses__())
    return (each for each in found if each.__module__.startswith(("cds.", "model.")) and each not in NEVER_SEEN)


def test_every_error_that_a_site_may_see_is_on_the_page() -> None:
    names = {each.__name__ for each in errors()}

    assert len(names) > 35
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_no_error_is_on_the_page_that_there_is_not() -> None:
    named = set(re.findall(r"^\| (?:\d+ \| )?`([A-Z]\w+)` \|", PAGE, re.MULTILINE))

    assert len(named) > 30
    assert named - {each.__name__ for each in errors()} == set()


@pytest.mark.parametrize("reason", ExclusionReason)
def test_every_reason_of_a_refusal_is_on_the_page(reason: ExclusionReason) -> None:
    assert f"`{reason}`" in PAGE


@pytest.mark.parametrize(("key", "query"), PREFETCH.items())
def test_the_prefetch_that_is_configured_by_hand_is_that_of_the_services(key: str, query: str) -> None:
    assert f"| `{key}` | `{query}` |" in EPIC
