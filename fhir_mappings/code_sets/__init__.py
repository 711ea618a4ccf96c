"""Sets of codes as data: what comes with the program, and what a site adds in files of the same form."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Self

from fhir_mappings.codes import ICD_10, ICD_10_CM, Code, usual_code, usual_system
from fhir_mappings.elements import Json

CHART = ("circumstances.toml", "histories.toml")
ORDERS = "orders.toml"
MODALITIES = "modalities.toml"
_ICD_10 = frozenset({ICD_10, ICD_10_CM})
_MEMBERS = frozenset({"system", "codes", "prefixes", "display", "source", "verified"})


class CodeSetError(ValueError):
    """A file of code sets that cannot be used; the message names the file and the set."""


@dataclass(frozen=True)
class CodeSet:
    """Codes that mean one thing, each as (system, code); those of ICD-10 and ICD-10-CM, and prefixes, are of both."""

    codes: frozenset[Code] = frozenset()
    prefixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, system: str, codes: Iterable[str], prefixes: Iterable[str] = ()) -> Self:
        """Codes of one system under any of its names and in any of its forms, as `usual_code` knows them.

        ICD-10-CM adds digits to the codes of ICD-10: what both have means the same, and charts mix up the two names.
        """
        systems = _ICD_10 if usual_system(system) in _ICD_10 else (system,)
        usual_prefixes = tuple(usual_code(system, prefix)[1] for prefix in prefixes)
        return cls(frozenset(usual_code(one, code) for one in systems for code in codes), usual_prefixes)

    def __bool__(self) -> bool:
        return bool(self.codes or self.prefixes)

    def holds_any(self, codes: Iterable[Code]) -> bool:
        """Whether one of the codes is in the set; they are in their usual form, as `codings` reads them."""
        return any(code in self.codes or self._has_prefix_of(code) for code in codes)

    def _has_prefix_of(self, code: Code) -> bool:
        return bool(self.prefixes) and code[0] in _ICD_10 and code[1].startswith(self.prefixes)

    def __or__(self, other: CodeSet) -> CodeSet:
        return CodeSet(self.codes | other.codes, tuple(dict.fromkeys((*self.prefixes, *other.prefixes))))


CodeSets = Mapping[str, CodeSet]


@cache
def code_sets(further: tuple[tuple[str, str], ...] = ()) -> CodeSets:
    """What of a chart bears on a suggestion, by name, with a site's own codes added; raises CodeSetError.

    `further` are the site's files, each as its name and its text.
    """
    known = {name: codes for file in CHART for name, codes in _shipped(file).items()}
    for file, written in further:
        own = _read(file, written)
        strange = sorted(set(own) - set(known))
        if strange:
            raise CodeSetError(
                f"{file}: there is no set {strange[0]!r} to add to; there are {', '.join(sorted(known))}"
            )
        known = {name: codes | own.get(name, CodeSet()) for name, codes in known.items()}
    return known


@cache
def order_code_sets() -> CodeSets:
    """What orders are for, by name; a site adds its own codes for each EHR in its settings."""
    return _shipped(ORDERS)


@cache
def modality_code_sets() -> CodeSets:
    """What makes images, by name: mammography, and all that is known to be other."""
    return _shipped(MODALITIES)


def _shipped(file: str) -> dict[str, CodeSet]:
    return _read(file, files(__name__).joinpath(file).read_text(encoding="utf-8"))


def _read(file: str, written: str) -> dict[str, CodeSet]:
    try:
        content = tomllib.loads(written)
    except tomllib.TOMLDecodeError as e:
        raise CodeSetError(f"{file}: it is not TOML: {e}") from e
    return {name: _set(file, name, blocks) for name, blocks in content.items()}


def _set(file: str, name: str, blocks: object) -> CodeSet:
    parts = [_part(block) for block in blocks] if isinstance(blocks, list) else [None]
    usable = [part for part in parts if part is not None]
    if len(usable) < len(parts):
        raise CodeSetError(
            f"{file}: every [[{name}]] needs a system, codes or prefixes (of ICD-10 only), and their source"
        )
    whole = CodeSet()
    for part in usable:
        whole = whole | part
    return whole


def _part(block: Json) -> CodeSet | None:
    if not isinstance(block, dict) or set(block) - _MEMBERS:
        return None
    system, codes, prefixes = block.get("system"), block.get("codes", []), block.get("prefixes", [])
    if not (_are_texts([system, block.get("source")]) and _are_texts(codes) and _are_texts(prefixes)):
        return None
    if not (codes or prefixes) or (prefixes and usual_system(str(system)) not in _ICD_10):
        return None
    return CodeSet.of(str(system), codes, prefixes)


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) and value.strip() for value in values)
