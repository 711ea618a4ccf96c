"""Tolerant readings of FHIR elements: vendors add fields, omit them and send wrong types, and nothing here crashes."""

from __future__ import annotations

import re
from typing import Any

from fhir_mappings.codes import Coding, usual_code

Json = dict[str, Any]

_NOT_STORABLE = re.compile(r"[\x00\ud800-\udfff]")


def as_object(value: object) -> Json:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[Json]:
    """The JSON objects of a list; a lone object counts as a list of one, anything else as none."""
    members = value if isinstance(value, list) else [value]
    return [member for member in members if isinstance(member, dict)]


def text(value: object) -> str:
    """The value if it is a string, without surrounding blanks, else an empty string.

    One with a NUL or half a surrogate pair inside is taken for absent: no FHIR string may hold them, databases refuse
    them, and without them it would be another identifier.
    """
    written = value.strip() if isinstance(value, str) else ""
    if written.isprintable():  # which neither of them is; nearly every text ends here
        return written
    # Texts copied from DICOM may end in NUL, which pads them to an even length (PS3.5 section 6.2).
    written = written.strip("\0").strip()
    return "" if _NOT_STORABLE.search(written) else written


def storable(written: str) -> str:
    """The text with U+FFFD for what databases refuse: NUL, and half a surrogate pair, where a text was cut short."""
    return _NOT_STORABLE.sub("\ufffd", written)


def codings(value: object) -> tuple[Coding, ...]:
    """Every usable coding of a Coding, a CodeableConcept, an R5 CodeableReference, or a list of them.

    A coding without a system or a code is no coding; system and code are in their usual form (`usual_code`).
    """
    if not value:
        return ()
    concepts = [as_object(element["concept"]) if "concept" in element else element for element in objects(value)]
    written = [coding for concept in concepts for coding in [concept, *objects(concept.get("coding"))]]
    read = [_coding(coding) for coding in written if coding.get("system")]
    return tuple(coding for coding in read if coding.system and coding.code)


def codes_of(value: object) -> frozenset[str]:
    """The bare codes of an element, whatever their system: its codings' or, before R4, the plain string it is."""
    if not value:
        return frozenset()
    members = value if isinstance(value, list) else [value]
    plain = {text(member) for member in members}
    written = [coding for element in objects(value) for coding in [element, *objects(element.get("coding"))]]
    return frozenset(plain | {_code(coding) for coding in written}) - {""}


def counted(count: int, singular: str, plural: str) -> str:
    """A number with its noun: `1 order`, `2 orders`."""
    return f"{count} {singular if count == 1 else plural}"


def _coding(written: Json) -> Coding:
    return Coding(*usual_code(text(written.get("system")), _code(written)), text(written.get("display")))


def _code(written: Json) -> str:
    code = written.get("code")
    number = str(code) if isinstance(code, int) and not isinstance(code, bool) else ""
    return text(code) or number
