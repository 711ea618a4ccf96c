"""Request bodies: JSON as RFC 8259 has it, of a bounded depth, and in which every name means one thing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from flask import request

from cds.errors import BodyTypeUnknown, HookRequestError

DEEPEST_BODY = 64
"""A Bundle of resources with contained ones and extensions nests some twenty deep."""


def json_body() -> Any:
    """The body of the request; raises HookRequestError where it is not JSON, or said to be something else."""
    # CDS Hooks 2.0.1 knows no other type, and RFC 8259, section 8.1, no other encoding.
    if request.mimetype != "application/json" or _charset() not in ("", "utf-8"):
        raise BodyTypeUnknown("the request body must be application/json in UTF-8")
    return read_json(request.get_data())


def read_json(body: bytes) -> Any:
    """The value of a JSON text; raises HookRequestError."""
    try:
        value = _STRICT.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        # Their words would quote what was sent.
        raise HookRequestError("the request body is not JSON in UTF-8 (RFC 8259)") from None
    if _is_deeper_than(DEEPEST_BODY, value):
        raise HookRequestError(f"the request body nests deeper than {DEEPEST_BODY} levels")
    return value


def _charset() -> str:
    return request.mimetype_params.get("charset", "").lower()


def _with_each_name_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two `patientId` one reader takes the first, another the last: two patients.
    made = dict(members)
    if len(made) < len(members):
        raise HookRequestError("an object in the request body has one of its names twice")
    return made


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("no finite number")
    return value


_STRICT = json.JSONDecoder(object_pairs_hook=_with_each_name_once, parse_float=_finite, parse_constant=_finite)


def _is_deeper_than(levels: int, value: object) -> bool:
    # Layer by layer, because a function that calls itself would need a stack as deep as what it looks for.
    layer = [value]
    for _ in range(levels):
        layer = [part for whole in layer for part in _parts(whole) if isinstance(part, (dict, list))]
        if not layer:
            return False
    return True


def _parts(whole: object) -> Iterable[object]:
    if isinstance(whole, dict):
        return whole.values()
    return whole if isinstance(whole, list) else ()
