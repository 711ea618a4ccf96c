"""That something could not be looked up, which is never the same as "there is none"."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unread:
    """Something that could not be looked up, and why; never to be read as "there is none"."""

    why: str
