"""The chain of the audit trail: each entry's digest covers the one before, so that a change or a gap shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

Row = Mapping[str, Any]
"""The columns of an entry."""


@dataclass(frozen=True)
class Head:
    """How far the trail goes: its last entry. Kept elsewhere, it shows later that nothing before it was changed."""

    number: int = 0
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"

    @classmethod
    def parse(cls, written: str) -> Head:
        """A head as it was noted down; raises ValueError for anything else."""
        number, _, digest = written.strip().partition(":")
        if not (number.isascii() and number.isdecimal() and len(digest) == 64):
            raise ValueError("a head is NUMBER:DIGEST, as `mammotrend audit verify` prints it")
        return cls(int(number), digest.lower())


EMPTY = Head()


@dataclass(frozen=True)
class Fault:
    """The first entry at which the trail is not as it was written."""

    number: int
    why: str


def canonical(row: Row) -> str:
    """An entry as its digest is made from: everything but the digest, in one spelling, in ASCII.

    What is None is left out, so that a column of a later layout changes nothing in what was written before it.
    """
    told = {name: value for name, value in row.items() if name != "digest" and value is not None}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_moment)


def _moment(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"an entry holds a {type(value).__name__}, which has no one spelling")
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def digest(written: str) -> str:
    """The SHA-256 of an entry in its canonical spelling."""
    return sha256(written.encode("ascii")).hexdigest()


def chained(rows: Iterable[Row], head: Head) -> Iterator[dict[str, Any]]:
    """The rows with what makes them the next entries after `head`."""
    for row in rows:
        linked = {**row, "number": head.number + 1, "previous": head.digest}
        head = Head(linked["number"], digest(canonical(linked)))
        yield {**linked, "digest": head.digest}


def fault_in(row: Row, before: Head) -> Fault | None:
    """What is wrong with an entry that should follow `before`; None if it does."""
    wanted, number = before.number + 1, row["number"]
    if number < wanted:
        return Fault(number, "it was put in: the trail begins with 1")
    if number > wanted:
        return Fault(wanted, "it is missing")
    if digest(canonical(row)) != row["digest"]:
        return Fault(number, "it is not as it was written")
    if row["previous"] != before.digest:
        return Fault(number, "it was not written after the entry that stands before it now")
    return None
