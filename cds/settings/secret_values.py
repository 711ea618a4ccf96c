"""Secrets, from a file or an environment variable and from nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

from cds.errors import SettingsError


def read_secret(file: Path) -> str:
    """The secret in a file, without its line end; raises SettingsError."""
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise SettingsError(f"the secret file {file.name!r} cannot be read: {type(e).__name__}") from e
    if not secret:
        raise SettingsError(f"the secret file {file.name!r} is empty")
    return secret


def read_secret_variable(name: str) -> str:
    """The secret in an environment variable; raises SettingsError."""
    secret = os.environ.get(name, "").strip()
    if not secret:
        raise SettingsError(f"the environment variable {name!r} is not set, or is empty")
    return secret
