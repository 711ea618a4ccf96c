"""A check of one part of a site: what it finds, or why it failed and how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cds.errors import MammoTrendError, told


class Outcome(StrEnum):
    """What a check came to; `not checked` where there is nothing to check or it was not wanted."""

    OK = "ok"
    FAILED = "FAILED"
    LEFT_OUT = "not checked"


@dataclass(frozen=True)
class Finding:
    """What was found at one part of the site and, where it failed, what to do. Names no patient and no secret."""

    part: str
    outcome: Outcome
    said: str
    mend: str = ""


@dataclass(frozen=True)
class Check:
    """How one part is tried: `look` says what it found, raises NothingToCheck, or fails with an error."""

    part: str
    look: Callable[[], str]
    mend: str

    def finding(self) -> Finding:
        """What trying it came to; never raises, so that the others are tried too."""
        try:
            return Finding(self.part, Outcome.OK, self.look())
        except NothingToCheck as nothing:
            return Finding(self.part, Outcome.LEFT_OUT, str(nothing))
        except Exception as fault:  # noqa: BLE001 # the others go on
            return Finding(self.part, Outcome.FAILED, told(fault), self.mend)


class NothingToCheck(MammoTrendError):
    """The site has no such part, or the check was not wanted."""
