"""What every JSON answer must keep: no null, nothing empty, absolute addresses (CDS Hooks 2.0.1, Use of JSON)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

_CONTAINERS = (str, list, tuple, Mapping)


class CardError(ValueError):
    """A card that CDS Hooks forbids: a mistake of ours or of the site's settings, never of the caller."""


def refuse(broken: bool, rule: str) -> None:
    """Raise CardError with `rule` if it is broken."""
    if broken:
        raise CardError(rule)


def require_text(value: object, name: str) -> None:
    """Raise CardError unless `value` is text with something in it."""
    refuse(not (isinstance(value, str) and value.strip()), f"{name} must be text that is not empty")


def require_absolute_url(value: str, name: str) -> None:
    """Raise CardError unless `value` is a whole http(s) address."""
    refuse(not is_absolute_url(value), f"{name} must be an absolute http(s) address, got {value!r}")


def is_absolute_url(value: str) -> bool:
    """Whether `value` names scheme and host and holds no blanks."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not any(c.isspace() for c in value)


def refuse_empty(value: object, name: str) -> None:
    """Raise CardError if a null, an empty text, list or object is anywhere in `value`, naming the place."""
    # To name every place takes longer than to look, and hardly ever is one named.
    if _is_filled(value):
        return
    for path, part in _walk(value, name):
        refuse(part is None or (isinstance(part, _CONTAINERS) and not part), f"{path} is empty or null")


def present(**members: object) -> dict[str, object]:
    """The members that have something in them: a valueless optional field is left out, never sent as null."""
    return {name: value for name, value in members.items() if value is not None and value not in ("", [], {}, ())}


def _is_filled(value: object) -> bool:
    # First what most values are: to tell a Mapping takes longer.
    if isinstance(value, str):
        return value != ""
    if isinstance(value, Mapping):
        return bool(value) and all(map(_is_filled, value.values()))
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_is_filled, value))
    return value is not None


def _walk(value: object, path: str) -> Iterator[tuple[str, object]]:
    yield path, value
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _walk(part, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _walk(part, f"{path}[{index}]")
