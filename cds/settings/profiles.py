"""Profiles of EHRs: what is usual for one kind of EHR, so that a site sets only what is its own."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

DEFAULT_PROFILE = "generic"
PROFILES = Path(__file__).parent / "ehr_profiles"


def with_profile(block: dict[str, Any]) -> dict[str, Any]:
    """An EHR's block over its profile; of a table within, such as `caller`, each setting by itself.

    Raises ValueError for a profile that is not there or cannot be read.
    """
    named = block.get("profile", DEFAULT_PROFILE)
    if not isinstance(named, str):
        return block  # what is wrong with it is told where the block is checked
    return _over(block, _read(named))


def profile_names() -> list[str]:
    """The profiles that come with the program."""
    return sorted(file.stem for file in PROFILES.glob("*.toml"))


def _read(named: str) -> dict[str, Any]:
    file = PROFILES / f"{named}.toml" if named in profile_names() else Path(named)
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError:
        known = ", ".join(profile_names())
        raise ValueError(f"profile {named!r} is neither one of {known} nor a file that can be read") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise ValueError(f"profile {file.name!r} is not TOML: {e}") from None


def _over(own: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    both = {name: _over(own[name], usual[name]) for name in own if _are_tables(own[name], usual.get(name))}
    return {**usual, **own, **both}


def _are_tables(*values: object) -> bool:
    return all(isinstance(value, dict) for value in values)
