"""Sets of codes as data: what comes with the program, and what a site adds in files of the same form."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fhir_mappings.codes import ICD_10, ICD_10_CM, SYSTEM_ALIASES, Code
from fhir_mappings.elements import Json

SHIPPED = "circumstances.toml"
_ICD = frozenset({ICD_10, ICD_10_CM})
_MEMBERS = frozenset({"system", "codes", "prefixes", "source", "verified"})


class CodeSetError(ValueError):
    """A file of code sets that cannot be used; the message names the file and the set."""


@dataclass(frozen=True)
class CodeSet:
    """Codes that mean one thing, each as (system, code); prefixes are of ICD-10 and ICD-10-CM codes."""

    codes: frozenset[Code] = frozenset()
    prefixes: tuple[str, ...] = ()

    def holds(self, code: Code) -> bool:
        """Whether a code, ICD-10 with its dot, is in the set."""
        system, value = code
        return code in self.codes or (system in _ICD and bool(self.prefixes) and value.startswith(self.prefixes))

    def __or__(self, other: CodeSet) -> CodeSet:
        return CodeSet(self.codes | other.codes, tuple(dict.fromkeys((*self.prefixes, *other.prefixes))))


CodeSets = Mapping[str, CodeSet]


@cache
def code_sets(further: tuple[tuple[str, str], ...] = ()) -> CodeSets:
    """The sets by name, with a site's own codes added, each file as its name and its text; raises CodeSetError."""
    known = _read(SHIPPED, files(__name__).joinpath(SHIPPED).read_text(encoding="utf-8"))
    for file, written in further:
        own = _read(file, written)
        strange = sorted(set(own) - set(known))
        if strange:
            raise CodeSetError(f"{file}: there is no set {strange[0]!r}; the sets are {', '.join(sorted(known))}")
        known = {name: codes | own.get(name, CodeSet()) for name, codes in known.items()}
    return known


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
    usual = SYSTEM_ALIASES.get(str(system), str(system))
    if not (codes or prefixes) or (prefixes and usual not in _ICD):
        return None
    return CodeSet(frozenset((usual, code) for code in codes), tuple(prefixes))


def _are_texts(values: object) -> bool:
    return isinstance(values, Iterable) and all(isinstance(value, str) and value.strip() for value in values)
