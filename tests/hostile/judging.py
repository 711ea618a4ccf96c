"""What no answer and no line of the log may hold, whatever was sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cds.web.browsers import SECURITY_HEADERS
from tests.hostile.women import MARK, Woman, other

INSIDES = re.compile(
    rf"Traceback|File \"|\.py\b|site-packages|{re.escape(str(Path(__file__).parents[2]))}|/usr/|<frozen|object at 0x"
    r"|flask|werkzeug|waitress|sqlalchemy|sqlite|postgres|psycopg|pg8000|pydantic|joserfc|hypothesis|Python/\d"
    r"|\b[A-Z]\w+(Error|Exception)\b",
    re.IGNORECASE,
)
"""What would tell a stranger how the service is made."""


@dataclass(frozen=True)
class Answer:
    """An answer as it came, of a test client or from a socket; `asked_by` is the method."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked_by: str = "POST"

    @property
    def is_bare(self) -> bool:
        """Refused without a reason, or asked for headers alone."""
        return not self.body and (self.status == 401 or self.asked_by in ("HEAD", "OPTIONS"))


def complaints(answer: Answer, about: Woman | None, log: str) -> list[str]:
    """What is wrong with an answer to a call about a woman, and with what was logged meanwhile."""
    return [*_of_form(answer), *_of_words(answer, about), *_of_log(log)]


def _of_form(answer: Answer) -> Iterator[str]:
    if answer.status >= 500:
        yield f"status {answer.status}"
    for name, value in SECURITY_HEADERS.items():
        if answer.headers.get(name) != value:
            yield f"header {name}: {answer.headers.get(name)!r}"
    if not answer.is_bare and _json(answer.body) is None:
        yield f"no JSON object: {answer.body[:80]!r}"


def _of_words(answer: Answer, about: Woman | None) -> Iterator[str]:
    headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    text = answer.body.decode(errors="replace")
    found = INSIDES.search(f"{headers}\n{text}")
    if found:
        yield f"tells its insides: {found.group()!r}"
    if MARK in headers:
        yield f"quotes in a header: {headers!r}"
    for place, value in _marked(_json(answer.body) or text):
        # A resource that a card offers says whose it is; nothing else of a call comes back.
        if answer.status != 200 or place != "reference" or about is None or other(about).name in value:
            yield f"quotes at {place!r}: {value[:80]!r}"
    if about is not None and other(about).shown in text:
        yield "tells another woman's risk"


def _marked(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _marked(name, "a name")
            yield from _marked(member, name)
    elif isinstance(value, list):
        for member in value:
            yield from _marked(member, place)
    elif MARK in str(value):
        yield place, str(value)


def _of_log(log: str) -> Iterator[str]:
    if MARK in log:
        yield f"logged: {log[:200]!r}"
    if "Traceback" in log or "unforeseen" in log:
        yield f"a fault: {log[:2000]}"


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body, parse_constant=_no_json)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
