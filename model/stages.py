"""The stages of scoring one exam, named alike wherever time is measured or told."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """What happens to an exam between the archive and its score, in order."""

    FETCH = "fetch"
    DECODE = "decode"
    PREPROCESS = "preprocess"
    FORWARD = "forward"
