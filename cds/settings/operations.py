"""The settings of those who watch the service."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import model_validator

from cds.settings.fields import Section, Text
from cds.settings.secret_values import read_secret, read_secret_variable


class OperationsSettings(Section):
    """Who may read `/metrics`: whoever brings the secret as a bearer token. Without a secret there is no such page."""

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
