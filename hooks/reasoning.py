"""Why a card says what it says, as it is kept beside the card for whoever asks later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    """One rule's answer: the rule by its word, `met` None where it is not known, `fact` and `instead` in sentences."""

    rule: str
    met: bool | None
    fact: str
    instead: str = ""


@dataclass(frozen=True)
class Reasoning:
    """Each rule's answer, and in sentences what was not known, is to be noted, or is not looked at.

    `ages` are the patient's in words, by the days of her exams: her birth date itself is not kept. `judged` is the
    study whose score the rules looked at, which need not be the exam that the card is about. `refusal` is why the exam
    that the card is about cannot be scored, None where it is not of one or was kept before this was.
    """

    answers: tuple[Answer, ...] = ()
    unknowns: tuple[str, ...] = ()
    ages: Mapping[str, str] = field(default_factory=dict)
    judged: str | None = field(default=None, repr=False)
    refusal: str | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it in plain JSON."""
        # Not `asdict`, which copies deeply what needs no copy: every card's reasoning is kept.
        answers = [dict(vars(answer)) for answer in self.answers]
        rest = {"ages": dict(self.ages), "judged": self.judged, "refusal": self.refusal}
        return {"answers": answers, "unknowns": list(self.unknowns), **rest}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """What `to_json` made; nothing of what was kept before there was any."""
        answers = tuple(Answer(**answer) for answer in kept.get("answers", ()))
        unknowns, ages = tuple(kept.get("unknowns", ())), kept.get("ages", {})
        return cls(answers, unknowns, ages, kept.get("judged"), kept.get("refusal"))
