"""The settings file of the deployment folder explains every setting that there is, and none that there is not."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from cds.settings import PacsSettings, Settings
from tests.servers import CHECKOUT

FILE = (CHECKOUT / "deploy" / "mammotrend.toml").read_text(encoding="utf-8")
NOT_FOR_A_FILE: dict[type[BaseModel], set[str]] = {PacsSettings: {"password"}}
"""What a settings file may not have."""


def written_out(text: str) -> dict[str, Any]:
    """The file with all that is commented out in it, also what stands there to be taken in place of another."""
    instead = re.sub(r" # or (\w+ = )", r"\n\1", text)
    return tomllib.loads(re.sub(r"^# (?=\w+ = |\[)", "", instead, flags=re.MULTILINE))


def blocks(kind: type[BaseModel], value: Any) -> Iterator[tuple[type[BaseModel], dict[str, Any]]]:
    """This block, and those within it, with what is written of each; several tables of one kind come one by one."""
    yield kind, value
    for name, field in kind.model_fields.items():
        within = [one for one in (field.annotation, *get_args(field.annotation)) if is_block(one)]
        tables = value.get(name, [])
        for table in tables if isinstance(tables, list) else [tables]:
            for inner in within:
                yield from blocks(inner, table)


def is_block(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def kinds(kind: type[BaseModel]) -> set[type[BaseModel]]:
    """This class of settings and all those within."""
    fields = kind.model_fields.values()
    within = [one for field in fields for one in (field.annotation, *get_args(field.annotation)) if is_block(one)]
    return {kind}.union(*map(kinds, within))


@pytest.mark.parametrize("kind", sorted(kinds(Settings), key=str), ids=lambda kind: kind.__name__)
def test_every_setting_is_explained_and_none_that_there_is_not(kind: type[BaseModel]) -> None:
    explained = {name for one, table in blocks(Settings, written_out(FILE)) if one is kind for name in table}

    assert explained == set(kind.model_fields) - NOT_FOR_A_FILE.get(kind, set())


def test_what_is_commented_out_or_named_as_another_way_counts_as_explained() -> None:
    text = '# What it is.\n# name = "a" # or other = "b"\n# # why\n# [table] # and this\n# within = 1 # or "x"\n'

    assert written_out(text) == {"name": "a", "other": "b", "table": {"within": 1}}
