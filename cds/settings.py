"""Everything a site decides, read once: one TOML file, environment variables `MAMMOTREND_...` over it."""

from __future__ import annotations

import re
import ssl
import tomllib
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as EnvironmentNotRead

from cds.errors import SettingsError, UntrustedServer
from cds.origins import listed
from fhir_mappings.mri_orders import INTENTS
from hooks.case import Comparator
from hooks.json_rules import is_absolute_url
from hooks.site import Mode
from model.card import DEMO_MODEL
from model.installed import model_folder


def _http_url(value: str) -> str:
    if not is_absolute_url(value):
        raise ValueError("must be a whole http or https address")
    return value


def _server_root(value: str) -> str:
    try:
        return listed(value, [value]).rstrip("/")
    except UntrustedServer as e:
        raise ValueError("must be an http or https address without a user, a query or a fragment") from e


def _is_among(server: str, others: Sequence[str]) -> bool:
    """Whether a server is one of the others, however its address is written."""
    try:
        listed(server, others)
    except UntrustedServer:
        return False
    return True


def _absolute_uri(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*:\S+", value):
        raise ValueError("must be an absolute URI, such as http://loinc.org or urn:oid:1.2.3")
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError) as e:
        raise ValueError("must be a time zone such as Europe/Berlin") from e
    return value


def _unpadded(value: str) -> str:
    if value != value.strip():
        raise ValueError("must not begin or end with blanks")
    return value


def _ca_bundle(file: Path) -> Path:
    # requests looks at the file only with a patient's call at hand, and its complaint then is no error of its own.
    try:
        ssl.create_default_context(cafile=file)
    except OSError as e:
        raise ValueError("must be a readable file of CA certificates in PEM format") from e
    return file


HttpUrl = Annotated[str, AfterValidator(_http_url)]
ServerRoot = Annotated[str, AfterValidator(_server_root)]
Uri = Annotated[str, AfterValidator(_absolute_uri)]
Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
# FHIR R4, datatype code: no blanks around it, and single ones within.
FhirCode = Annotated[str, Field(pattern=r"^[^\s]+(\s[^\s]+)*$")]
Display = Annotated[str, AfterValidator(_unpadded)]
CaBundle = Annotated[Path, AfterValidator(_ca_bundle)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EhrSettings(_Section):
    """One EHR that may call, or that the night reads. Other FHIR servers are neither believed nor called."""

    name: Text
    fhir_server: ServerRoot
    mode: Mode = Mode.SILENT
    time_zone: TimeZone = "UTC"
    timeout_s: float = Field(default=5.0, gt=0)
    access_token_file: Path | None = None
    """A file with the bearer token the nightly run presents; the hook uses the token of each call instead."""
    ca_file: CaBundle | None = None
    """The certificate authorities that vouch for this server, in place of the public ones."""


class PacsSettings(_Section):
    """The image archive."""

    dicomweb_root: ServerRoot
    other_roots: tuple[ServerRoot, ...] = ()
    """Further DICOMweb roots that studies may name; on another server they are read without the credentials."""
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    read_timeout_s: float = Field(default=60.0, gt=0)
    check_patient_id: bool = True
    """Hold an exam whose images carry a patient ID that the EHR does not list for the patient."""
    ca_file: CaBundle | None = None
    """The certificate authorities that vouch for the archives, in place of the public ones."""

    def secret(self) -> str | None:
        """The password from its file or the environment."""
        if self.password_file is not None:
            return read_secret(self.password_file)
        return self.password.get_secret_value() if self.password else None


class PolicySettings(_Section):
    """When a breast MRI is suggested. Defaults: NCCN 2026 as reported, from 35, strictly over 1.7 %."""

    minimum_age_years: int = Field(default=35, ge=0, le=120)
    threshold_percent: float = Field(default=1.7, gt=0, lt=100)
    comparator: Comparator = Comparator.OVER
    mri_within_months: int = Field(default=12, ge=0)
    oldest_score_months: int = Field(default=24, ge=0)
    citation: Text | None = None
    citation_url: HttpUrl | None = None

    @field_validator("threshold_percent")
    @classmethod
    def _is_in_percent(cls, value: float) -> float:
        if value < 0.1:
            raise ValueError("is in percent: write 1.7 for 1.7 %, not the fraction 0.017; the least is 0.1")
        return value


class OrderSettings(_Section):
    """The breast MRI order that a card offers, in the site's own code where it has one."""

    code: FhirCode = "77049"
    system: Uri = "http://www.ama-assn.org/go/cpt"
    display: Display = ""
    intent: str = "order"

    @field_validator("intent")
    @classmethod
    def _is_an_intent(cls, value: str) -> str:
        if value not in INTENTS:
            raise ValueError(f"must be one of {', '.join(sorted(INTENTS))}")
        return value


class CodeSettings(_Section):
    """One code of the site's own."""

    system: Uri
    code: FhirCode


class OrderCodesSettings(_Section):
    """What orders of the site's own codes are for, beside the usual codes; that of `mri_order` is known already."""

    screening_mammography: tuple[CodeSettings, ...] = ()
    other_mammography: tuple[CodeSettings, ...] = ()
    breast_mri: tuple[CodeSettings, ...] = ()

    @model_validator(mode="after")
    def _mean_one_thing(self) -> Self:
        lists = (self.screening_mammography, self.other_mammography, self.breast_mri)
        if any(set(one) & set(other) for one, other in combinations(lists, 2)):
            raise ValueError("a code can be in one of the lists only")
        return self


class ServiceSettings(_Section):
    """Where the service listens. Loopback unless a TLS proxy stands before it."""

    host: str = "127.0.0.1"
    port: int = Field(default=8410, ge=0, le=65535)
    threads: int = Field(default=16, ge=1)
    answer_budget_s: float = Field(default=2.0, ge=0)
    """How long a hook waits for a score that the worker is making."""
    label: Text = "MammoTrend"
    url: HttpUrl | None = None


class NightSettings(_Section):
    """When the worker looks for new exams by itself: five cron fields in the given time zone, empty for never."""

    cron: str = "0 2 * * *"
    time_zone: TimeZone = "UTC"


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix="MAMMOTREND_", env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    database_url: str = Field(default="sqlite:///mammotrend.sqlite", repr=False)
    model: Path = DEMO_MODEL
    """The name of an installed model, or a model's folder."""
    models_folder: Path = Path("mammotrend-models")
    """Where imported models are installed, a folder each."""
    refuse_unvalidated_devices: bool = False
    """Refuse exams of mammography units that the model's card does not list, instead of a warning on the score."""
    ehrs: tuple[EhrSettings, ...] = ()
    pacs: PacsSettings | None = None
    policy: PolicySettings = PolicySettings()
    mri_order: OrderSettings = OrderSettings()
    order_codes: OrderCodesSettings = OrderCodesSettings()
    service: ServiceSettings = ServiceSettings()
    night: NightSettings = NightSettings()

    @property
    def model_folder(self) -> Path:
        """The folder of the site's model."""
        return model_folder(self.model, self.models_folder)

    @field_validator("ehrs")
    @classmethod
    def _are_told_apart(cls, ehrs: tuple[EhrSettings, ...]) -> tuple[EhrSettings, ...]:
        """Exams are kept by the EHR's name, and calls belong to an EHR by its server."""
        if len({ehr.name for ehr in ehrs}) < len(ehrs):
            raise ValueError("the EHRs' names must differ from each other")
        servers = [ehr.fhir_server for ehr in ehrs]
        if any(_is_among(server, servers[:place]) for place, server in enumerate(servers)):
            raise ValueError("the EHRs' servers must differ from each other")
        return ehrs

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then the file: what `init_settings` carries is the parsed file."""
        return env_settings, init_settings


class _OfFileAlone(Settings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def read_settings(file: Path | None, *, environment: bool = True) -> Settings:
    """The settings of a TOML file with the environment over it; raises SettingsError naming each wrong setting.

    Without `environment` the file stands alone.
    """
    values = _read_toml(file) if file else {}
    try:
        return Settings(**values) if environment else _OfFileAlone(**values)
    except ValidationError as e:
        wrong = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in e.errors())
        raise SettingsError(f"the settings cannot be used: {wrong}") from None
    except EnvironmentNotRead as e:
        raise SettingsError(f"the environment cannot be used: {e}") from None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as e:
        raise SettingsError(f"the settings file {file.name!r} cannot be read: {type(e).__name__}") from e
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise SettingsError(f"the settings file {file.name!r} is not TOML: {e}") from e
    pacs = values.get("pacs")
    if isinstance(pacs, dict) and "password" in pacs:
        raise SettingsError(
            "pacs.password does not belong in the settings file; use pacs.password_file, or the "
            "environment variable MAMMOTREND_PACS__PASSWORD"
        )
    return values


def read_secret(file: Path) -> str:
    """The secret in a file, without its line end; raises SettingsError."""
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise SettingsError(f"the secret file {file.name!r} cannot be read: {type(e).__name__}") from e
    if not secret:
        raise SettingsError(f"the secret file {file.name!r} is empty")
    return secret
