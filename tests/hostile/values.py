"""Hostile JSON: values for every place of a valid body, and whole bodies that are none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.hostile.women import HOSTILE_VALUE

Change = Callable[[Any], Any]
Path = tuple[str | int, ...]

LEFT_OUT = object()


def _nested(levels: int) -> Any:
    value: Any = HOSTILE_VALUE
    for _ in range(levels):
        value = [value]
    return value


CONSTANTS: tuple[Any, ...] = (
    LEFT_OUT,
    None,
    True,
    0,
    -1,
    10**400,
    1.7e308,
    "",
    " \t",
    HOSTILE_VALUE,
    f"\x00{HOSTILE_VALUE}",
    f"{HOSTILE_VALUE}\ud800",
    f"\u202e{HOSTILE_VALUE}\ufeff\r\nX-Injected: 1",
    f"<script>alert('{HOSTILE_VALUE}')</script>",
    f"[{HOSTILE_VALUE}](javascript:alert(1))|`*_\n# {HOSTILE_VALUE}",
    f"../../Patient/{HOSTILE_VALUE}",
    f"https://169.254.169.254/{HOSTILE_VALUE}?x={HOSTILE_VALUE}",
    "{{context.patientId}}",
    f"'; DROP TABLE exams; -- {HOSTILE_VALUE}",
    HOSTILE_VALUE * 2000,
    "2026-13-45T99:99:99+99:99",
    "0000",
    "9999-12-31T23:59:60Z",
    [],
    [None],
    [[{}]],
    {},
    {"": None},
    {HOSTILE_VALUE * 1000: HOSTILE_VALUE},
    {"resourceType": "OperationOutcome", "issue": [{"severity": "fatal", "diagnostics": HOSTILE_VALUE}]},
    {
        "resourceType": "Bundle",
        "entry": [{"resource": {"resourceType": kind}} for kind in ("Bundle", "ProcedureRequest")],
    },
    _nested(45),
)
CHANGES: tuple[Change, ...] = (
    lambda value: [value],
    lambda value: [value, value],
    lambda value: {"value": value},
    lambda value: str(value) + HOSTILE_VALUE,
)


def places(value: Any, at: Path = ()) -> Iterator[Path]:
    """The path of every value in a JSON value, its own first."""
    yield at
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from places(member, (*at, name))


def changed(value: Any, at: Path, change: Change) -> Any:
    """The same JSON with what stands at one place changed; LEFT_OUT takes it out."""
    if not at:
        return change(value)
    name, *deeper = at
    made = changed(value[name], tuple(deeper), change)
    copy = value.copy()
    if made is LEFT_OUT:
        del copy[name]
    else:
        copy[name] = made
    return copy


def replaced(value: Any, at: Path, new: Any) -> Any:
    """The same JSON with something else at one place."""
    return changed(value, at, lambda _: new)


def hostile_changes(value: Any) -> Iterator[Any]:
    """The value with each of its places changed in each hostile way, one at a time."""
    for at in places(value):
        for constant in CONSTANTS:
            if at or constant is not LEFT_OUT:
                yield replaced(value, at, constant)
        for change in CHANGES:
            yield changed(value, at, change)


def _deep(opening: str, closing: str, levels: int) -> bytes:
    return (opening * levels + "1" + closing * levels).encode()


def broken_bodies(valid: Any) -> tuple[bytes, ...]:
    """Bodies that are no JSON, or JSON that must not be taken; `valid` is one that would be answered."""
    text = json.dumps(valid)
    return (
        b"",
        b" ",
        b"\x00",
        b"{",
        b"}",
        b'"',
        b"nul",
        b"[1,]",
        b"{'a': 1}",
        b"{} {}",
        b"// {}",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
        b'"\x01"',
        b'"\\x"',
        b'"\\u12"',
        b"NaN",
        b"[Infinity]",
        b'{"a": -Infinity}',
        b"1e400",
        b"-1e400",
        b"[1e+9999999999]",
        b"9" * 5000,
        b"-" * 5000,
        b"0x1F",
        b"01",
        b"1.",
        b'{"hook": 1, "hook": 1}',
        b'{"h\\u006fok": 1, "hook": 1}',
        text.replace('"hookInstance"', '"hook": "x", "hookInstance"').replace('"card"', '"card": "x", "card"').encode(),
        _deep("[", "]", 100_000),
        _deep('{"a":', "}", 20_000),
        _deep("[", "]", 65),
        _deep('[{"a":', "}]", 200),
        b"[" * 300_000,
        b'{"a":' * 50_000,
        b'{"%s": 1}' % (HOSTILE_VALUE.encode() * 100_000),
        b"[" + b"{}," * 200_000 + b"{}]",
        b'"' + b"\\ud800" * 10_000 + b'"',
        b'"' + b"\\u0000" * 10_000 + b'"',
        text.encode("utf-16"),
        text.encode("utf-16-le"),
        text.encode("utf-32"),
        text.encode("utf-7") + b"\x00",
        text.encode()[:-1],
        text.encode()[1:],
        text.encode() + b"\x00",
        text.encode() + text.encode(),
        b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n" + text.encode() + b"\r\n--x--",
        b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
        b"a=1&b=2",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    )
