"""What must not stand in a log, and every form in which it could stand there."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote, quote_plus

SHORTEST = 8
"""Characters: what is shorter could be in a log by chance."""


def traces(secrets: Mapping[str, str], log: str) -> list[str]:
    """Which of the secrets, by their names, are in the log, and in which form."""
    lower = log.lower()
    return [
        f"{name} ({form})"
        for name, secret in secrets.items()
        for form, written in forms(secret)
        if written in (log if form.startswith("base64") else lower)
    ]


def forms(secret: str) -> Iterator[tuple[str, str]]:
    """The secret as it could be written: each form by its name, those that know no case in small letters."""
    assert len(secret) >= SHORTEST, secret
    yield "as it is", secret.lower()
    yield "percent-encoded", quote(secret, safe="").lower()
    yield "in a form", quote_plus(secret).lower()
    yield "escaped", json.dumps(secret)[1:-1].lower()
    yield "as Python writes it", ascii(secret)[1:-1].lower()
    for place in range(3):
        yield f"base64, {place} bytes further", _within(b64encode, secret, place)
        yield f"base64 for addresses, {place} bytes further", _within(urlsafe_b64encode, secret, place)


def _within(encode: Callable[[bytes], bytes], secret: str, place: int) -> str:
    """The characters that stand for the secret alone where it begins so many bytes into what is encoded."""
    content = bytes(place) + secret.encode()
    first, last = -(-place * 8 // 6), len(content) * 8 // 6
    return encode(content)[first:last].decode()
