"""How long work shows how far it is, without knowing of terminals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

One = TypeVar("One")


class Track(Protocol):
    """Gives the steps one by one and shows, in these words, how many are done."""

    def __call__(self, steps: Sequence[One], words: str, /) -> Iterable[One]: ...


def silently(steps: Sequence[One], _words: str, /) -> Iterable[One]:
    """The steps, with nothing shown."""
    return steps
