"""Secrets, from a file or an environment variable and from nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import model_validator

from cds.errors import SettingsError
from cds.settings.fields import Section, Text


class KeptSecret(Section):
    """A block of settings with one secret, which is kept in a file or an environment variable, or not at all."""

    secret_file: Path | None = None
    secret_variable: Text | None = None
    """The name of the environment variable that has the secret."""

    @model_validator(mode="after")
    def _is_kept_in_one_place(self) -> Self:
        if self.secret_file is not None and self.secret_variable is not None:
            raise ValueError("set one of secret_file and secret_variable, not both")
        return self

    def secret(self) -> str | None:
        """The secret, from wherever it is kept; raises SettingsError."""
        if self.secret_file is not None:
            return read_secret(self.secret_file)
        return read_secret_variable(self.secret_variable) if self.secret_variable is not None else None


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
