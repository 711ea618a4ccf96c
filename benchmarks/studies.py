"""The studies of an archive that has every one that it is asked for."""

from __future__ import annotations

FIRST = 10_000_001
"""Studies are numbered from here on: all numbers are of one length, so that they can be written into ready files."""


def study_uid(number: int) -> str:
    """The UID of one of ten million studies; that before the first is nobody's."""
    return f"1.2.3.{FIRST + number}"
