"""The settings of the image archives, and of what is asked of them."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from cds.settings.fields import CaBundle, Section, ServerRoot, Text
from cds.settings.secret_values import read_secret, read_secret_variable


class PacsSettings(Section):
    """One image archive; its credentials go to it and to no other."""

    name: Text
    dicomweb_root: ServerRoot
    username: Text | None = None
    password: SecretStr | None = None
    """For the environment (`MAMMOTREND_PACS`) only: the settings file names one of the next two instead."""
    password_file: Path | None = None
    password_variable: Text | None = None
    """The name of the environment variable that has the password."""
    read_timeout_s: float = Field(default=60.0, gt=0)
    """How long the archive may be silent."""
    study_timeout_s: float = Field(default=600.0, gt=0)
    """How long all of one study, or all of one search, may take."""
    ca_file: CaBundle | None = None
    """The certificate authorities that vouch for this archive, in place of the public ones."""

    @model_validator(mode="after")
    def _has_one_password_for_its_user(self) -> Self:
        given = [one for one in (self.password, self.password_file, self.password_variable) if one is not None]
        if len(given) > 1:
            raise ValueError("set one of password_file and password_variable, not both")
        if given and self.username is None:
            raise ValueError("a password goes with a username: set it, or leave the password out")
        return self

    def secret(self) -> str | None:
        """The password, from wherever it is kept; raises SettingsError."""
        if self.password_file is not None:
            return read_secret(self.password_file)
        if self.password_variable is not None:
            return read_secret_variable(self.password_variable)
        return self.password.get_secret_value() if self.password else None


class ImagingSettings(Section):
    """What is asked of the archives beyond the images of one exam."""

    check_patient_id: bool = True
    """Hold an exam whose images carry a patient ID that the EHR does not list for the patient."""
    find_priors: bool = False
    """Ask the archives for a patient's earlier mammograms, too."""
    poll: bool = False
    """Ask the archives what is new, at night and every `poll_minutes`."""
    poll_minutes: int = Field(default=15, ge=1)
    poll_days: int = Field(default=7, ge=1)
    """How far back a study's date may be, from when all archives were last read, for it to be looked at as new."""
    stable_minutes: int = Field(default=30, ge=0)
    """How long a new study must have received nothing more before it counts as whole."""
    fetchers: int = Field(default=6, ge=1, le=1024)
    """How many exams are asked for at the same time: enough that the others need not wait for a slow archive."""
    in_flight_megabytes: int = Field(default=2048, ge=256)
    """How much memory exams may take that were fetched or are coming, and are not scored yet."""
    report_to: str = ""
    """The name of the archive that gets a DICOM structured report of each score; empty: none does."""

    @model_validator(mode="after")
    def _sees_studies_come_to_rest(self) -> Self:
        if self.stable_minutes >= self.poll_days * 24 * 60:
            raise ValueError(
                "stable_minutes must be less than poll_days, or a study would be out of sight before it counts as whole"
            )
        return self
