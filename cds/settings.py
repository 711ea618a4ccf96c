"""Everything a site decides, read once: one TOML file, environment variables `MAMMOTREND_...` over it."""

from __future__ import annotations

import os
import re
import ssl
import tomllib
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self
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
from model.domain import GAP_MONTHS
from model.installed import model_folder
from model.precision import Precision


def _http_url(value: str) -> str:
    if not is_absolute_url(value):
        raise ValueError("must be a whole http or https address")
    return value


def _server_address(value: str) -> str:
    try:
        return listed(value, [value])
    except UntrustedServer as e:
        raise ValueError("must be an http or https address without a user, a query or a fragment") from e


def _server_root(value: str) -> str:
    return _server_address(value).rstrip("/")


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
ServerAddress = Annotated[str, AfterValidator(_server_address)]
ServerRoot = Annotated[str, AfterValidator(_server_root)]
Uri = Annotated[str, AfterValidator(_absolute_uri)]
Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
# FHIR R4, datatype code: no blanks around it, and single ones within.
FhirCode = Annotated[str, Field(pattern=r"^[^\s]+(\s[^\s]+)*$")]
Display = Annotated[str, AfterValidator(_unpadded)]
CaBundle = Annotated[Path, AfterValidator(_ca_bundle)]


# What the night reads, and what writing back needs.
NIGHT_SCOPES = ("system/ImagingStudy.rs", "system/Patient.rs")
WRITING_SCOPES = ("system/RiskAssessment.crus",)


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
    client_id: Text | None = None
    """Who the nightly run is to the EHR's token server (SMART Backend Services), in place of `access_token_file`."""
    private_key_file: Path | None = None
    """The private key of `client_id`: PEM, JWK or JWKS, RSA or EC on P-384, without a password."""
    token_url: ServerAddress | None = None
    """The EHR's token address; without it the FHIR server is asked, which may name one on its own origin only."""
    scope: Text | None = None
    """What the token is asked for; without it, what the service needs: see `asked_scope`."""
    signing_algorithm: Literal["RS384", "ES384"] | None = None
    """Without it, the one that fits the key."""
    key_id: Text | None = None
    """The `kid` under which the EHR knows the key; without it that of the JWK, or the key's thumbprint."""
    write_back: bool = False
    """Put each patient's newest assessment into the chart; the token must then cover writing RiskAssessments."""
    ca_file: CaBundle | None = None
    """The certificate authorities that vouch for this server, in place of the public ones."""

    @property
    def asked_scope(self) -> str:
        """The scopes that the nightly run asks for, as SMART App Launch 2 writes them."""
        return self.scope or " ".join(NIGHT_SCOPES + (WRITING_SCOPES if self.write_back else ()))

    @model_validator(mode="after")
    def _is_silent_everywhere(self) -> Self:
        if self.write_back and self.mode is Mode.SILENT:
            raise ValueError("write_back needs mode = 'research' or 'active': a silent service writes nothing either")
        return self

    @model_validator(mode="after")
    def _has_one_way_to_a_token(self) -> Self:
        if (self.client_id is None) != (self.private_key_file is None):
            raise ValueError("client_id and private_key_file belong together: set both or neither")
        if self.client_id is not None and self.access_token_file is not None:
            raise ValueError("set either access_token_file or client_id with private_key_file, not both")
        of_the_key = (self.token_url, self.scope, self.signing_algorithm, self.key_id)
        if self.client_id is None and any(of_the_key):
            raise ValueError("token_url, scope, signing_algorithm and key_id go with client_id and private_key_file")
        return self


class PacsSettings(_Section):
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


class ImagingSettings(_Section):
    """What is asked of the archives beyond the images of one exam."""

    check_patient_id: bool = True
    """Hold an exam whose images carry a patient ID that the EHR does not list for the patient."""
    find_priors: bool = False
    """Ask the archives for a patient's earlier mammograms, too."""
    poll: bool = False
    """Ask the archives what is new, at night and every `poll_minutes`."""
    poll_minutes: int = Field(default=15, ge=1)
    poll_days: int = Field(default=7, ge=1)
    """How far back a study's date may be for it to be looked at as new."""
    stable_minutes: int = Field(default=30, ge=0)
    """How long a new study must have received nothing more before it counts as whole."""
    in_flight_megabytes: int = Field(default=1024, ge=256)
    """How much memory exams may take that were fetched and are not scored yet."""
    report_to: str = ""
    """The name of the archive that gets a DICOM structured report of each score; empty: none does."""

    @model_validator(mode="after")
    def _sees_studies_come_to_rest(self) -> Self:
        if self.stable_minutes >= self.poll_days * 24 * 60:
            raise ValueError(
                "stable_minutes must be less than poll_days, or a study would be out of sight before it counts as whole"
            )
        return self


class PolicySettings(_Section):
    """When a breast MRI is suggested. Defaults: NCCN 2026 as reported, from 35, strictly over 1.7 %."""

    minimum_age_years: int = Field(default=35, ge=0, le=120)
    threshold_percent: float = Field(default=1.7, gt=0, lt=100)
    comparator: Comparator = Comparator.OVER
    mri_within_months: int = Field(default=12, ge=0)
    oldest_score_months: int = Field(default=24, ge=0)
    minimum_detectable_change_points: float | None = None
    """In percentage points, as measured at this site: a smaller difference of two scores is no measurable change."""
    gap_months: int = Field(default=GAP_MONTHS, ge=1)
    """Two scores further apart are shown with a gap between them."""
    citation: Text | None = None
    citation_url: HttpUrl | None = None

    @field_validator("threshold_percent")
    @classmethod
    def _is_in_percent(cls, value: float) -> float:
        if value < 0.1:
            raise ValueError("is in percent: write 1.7 for 1.7 %, not the fraction 0.017; the least is 0.1")
        return value

    @field_validator("minimum_detectable_change_points")
    @classmethod
    def _is_in_points(cls, value: float | None) -> float | None:
        # The least is also the last decimal of a shown change: a site that measured less loses nothing by 0.1.
        if value is not None and not 0.1 <= value < 100:
            raise ValueError(
                "is in percentage points, from 0.1 to under 100: write 0.5 for half a point, not the fraction 0.005"
            )
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


class ScoringSettings(_Section):
    """What the worker computes on."""

    device: str = Field(default="", pattern=r"^(cpu|cuda(:\d+)?)?$")
    """`cpu`, `cuda` or `cuda:1`; empty: CUDA where there is one."""
    precision: Precision = Precision.FLOAT32
    """Lower ones need a passing `mammotrend model verify NAME --precision ...` on the same machine."""
    batch_exams: int | None = Field(default=None, ge=1)
    """How many waiting exams are scored together; without it, what suits the device."""


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
    upgrade_database: bool = False
    """Bring an older database to the layout of this program at start, instead of refusing to start."""
    model: Path = DEMO_MODEL
    """The name of an installed model, or a model's folder."""
    models_folder: Path = Path("mammotrend-models")
    """Where imported models are installed, a folder each."""
    refuse_unvalidated_devices: bool = False
    """Refuse exams of mammography units that the model's card does not list, instead of a warning on the score."""
    ehrs: tuple[EhrSettings, ...] = ()
    pacs: tuple[PacsSettings, ...] = ()
    imaging: ImagingSettings = ImagingSettings()
    policy: PolicySettings = PolicySettings()
    mri_order: OrderSettings = OrderSettings()
    order_codes: OrderCodesSettings = OrderCodesSettings()
    service: ServiceSettings = ServiceSettings()
    scoring: ScoringSettings = ScoringSettings()
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

    @field_validator("pacs")
    @classmethod
    def _are_archives_of_their_own(cls, pacs: tuple[PacsSettings, ...]) -> tuple[PacsSettings, ...]:
        """Reports go to an archive by its name, and a study is fetched from one by its root."""
        if len({archive.name for archive in pacs}) < len(pacs):
            raise ValueError("the archives' names must differ from each other")
        roots = [archive.dicomweb_root for archive in pacs]
        if any(_is_among(root, roots[:place]) for place, root in enumerate(roots)):
            raise ValueError("the archives' DICOMweb roots must differ from each other")
        return pacs

    @model_validator(mode="after")
    def _reports_go_to_a_known_archive(self) -> Self:
        wanted = self.imaging.report_to
        if wanted and wanted not in {archive.name for archive in self.pacs}:
            raise ValueError(f"imaging.report_to: no archive in pacs has the name {wanted!r}")
        return self

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
    _refuse_passwords(values.get("pacs"))
    return values


def _refuse_passwords(pacs: object) -> None:
    blocks = pacs if isinstance(pacs, list) else [pacs]
    if any(isinstance(block, dict) and "password" in block for block in blocks):
        raise SettingsError(
            "pacs.password does not belong in the settings file; use pacs.password_file, or pacs.password_variable "
            "with the name of an environment variable"
        )


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
