"""Everything a site decides, read once: one TOML file, environment variables `MAMMOTREND_...` over it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as EnvironmentNotRead

from cds.errors import SettingsError
from cds.settings.archives import ImagingSettings, PacsSettings
from cds.settings.ehrs import EhrSettings
from cds.settings.fields import Section, is_among
from cds.settings.operations import OperationsSettings
from cds.settings.orders import OrderCodesSettings, OrderSettings
from cds.settings.pages import PagesSettings
from cds.settings.policy import CardsSettings, PolicySettings
from cds.settings.processes import ClusterSettings, NightSettings, ScoringSettings, ServiceSettings
from cds.settings.profiles import with_profile
from cds.settings.retention import RetentionSettings
from model.card import DEMO_MODEL
from model.installed import model_folder

PREFIX, WITHIN = "MAMMOTREND_", "__"
"""How a setting's environment variable begins, and what stands in it between a block and a setting of the block."""
NAMES_THE_FILE = f"{PREFIX}CONFIG"
"""The one variable that begins so and is no setting; others are, where a setting names them, of secrets."""


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=WITHIN, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    database_url: str = Field(default="sqlite:///mammotrend.sqlite", repr=False)
    upgrade_database: bool = False
    """Bring an older database to the layout of this program at start, instead of refusing to start."""
    model: Path = DEMO_MODEL
    """The name of an installed model, or a model's folder."""
    models_folder: Path = Path("mammotrend-models")
    """Where imported models are installed, a folder each."""
    refuse_unvalidated_devices: bool = False
    """Refuse exams of mammography units that the model's card does not list, instead of a warning on the score.

    Unset again, the next run scores what was refused so.
    """
    private_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks, such as 127.0.0.0/8, that a server's name may stand for although nothing is connected to there."""
    ehrs: tuple[EhrSettings, ...] = ()
    pacs: tuple[PacsSettings, ...] = ()
    imaging: ImagingSettings = ImagingSettings()
    policy: PolicySettings = PolicySettings()
    cards: CardsSettings = CardsSettings()
    mri_order: OrderSettings = OrderSettings()
    order_codes: OrderCodesSettings = OrderCodesSettings()
    service: ServiceSettings = ServiceSettings()
    scoring: ScoringSettings = ScoringSettings()
    cluster: ClusterSettings = ClusterSettings()
    night: NightSettings = NightSettings()
    operations: OperationsSettings = OperationsSettings()
    retention: RetentionSettings = RetentionSettings()
    pages: PagesSettings = PagesSettings()
    _file: Path | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, file: Path | None, values: dict[str, Any]) -> Self:
        """The settings with the values of this file, which they remember."""
        settings = cls(**values)
        settings._file = file
        return settings

    @property
    def file(self) -> Path | None:
        """The file that they were read from, if any."""
        return self._file

    def single(self) -> Iterator[tuple[str, object]]:
        """Every setting with its name, such as `ehrs.0.caller.jwks_url`."""
        return _single(self, "")

    @property
    def model_folder(self) -> Path:
        """The folder of the site's model."""
        return model_folder(self.model, self.models_folder)

    def with_model(self, model: Path) -> Self:
        """The site with another model, for which its own calibration was not fitted."""
        other = self.model_copy(update={"model": model})
        if other.model_folder == self.model_folder:
            return other
        return other.model_copy(update={"scoring": self.scoring.model_copy(update={"calibration": None})})

    @field_validator("ehrs", mode="before")
    @classmethod
    def _take_from_their_profiles(cls, ehrs: object) -> object:
        """What an EHR's block leaves out is taken from its profile."""
        blocks = ehrs if isinstance(ehrs, list | tuple) else []
        return [with_profile(block) if isinstance(block, dict) else block for block in blocks] or ehrs

    @field_validator("ehrs")
    @classmethod
    def _are_told_apart(cls, ehrs: tuple[EhrSettings, ...]) -> tuple[EhrSettings, ...]:
        """Exams are kept by the EHR's name, and calls belong to an EHR by its server."""
        if len({ehr.name for ehr in ehrs}) < len(ehrs):
            raise ValueError("the EHRs' names must differ from each other")
        servers = [ehr.fhir_server for ehr in ehrs]
        if any(is_among(server, servers[:place]) for place, server in enumerate(servers)):
            raise ValueError("the EHRs' servers must differ from each other")
        return ehrs

    @field_validator("pacs")
    @classmethod
    def _are_archives_of_their_own(cls, pacs: tuple[PacsSettings, ...]) -> tuple[PacsSettings, ...]:
        """Reports go to an archive by its name, and a study is fetched from one by its root."""
        if len({archive.name for archive in pacs}) < len(pacs):
            raise ValueError("the archives' names must differ from each other")
        roots = [archive.dicomweb_root for archive in pacs]
        if any(is_among(root, roots[:place]) for place, root in enumerate(roots)):
            raise ValueError("the archives' DICOMweb roots must differ from each other")
        return pacs

    @model_validator(mode="after")
    def _reports_go_to_a_known_archive(self) -> Self:
        wanted = self.imaging.report_to
        if wanted and wanted not in {archive.name for archive in self.pacs}:
            raise ValueError(f"imaging.report_to: no archive in pacs has the name {wanted!r}")
        return self

    @model_validator(mode="after")
    def _what_is_asked_for_again_is_kept(self) -> Self:
        """An archive lists a study for `poll_days`; an override keeps a card quiet."""
        kept = self.retention
        if kept.arrivals_days is not None and kept.arrivals_days <= self.imaging.poll_days:
            raise ValueError("retention.arrivals_days must be more than imaging.poll_days")
        quiet_days = self.cards.quiet_days_after_override
        if kept.answered_cards_days is not None and kept.answered_cards_days <= quiet_days:
            raise ValueError("retention.answered_cards_days must be more than cards.quiet_days_after_override")
        return self

    @model_validator(mode="after")
    def _launches_open_pages(self) -> Self:
        if self.service.trust == "demo" or not any(ehr.smart for ehr in self.ehrs):
            return self
        if self.service.public_url is None or (self.pages.secret_file, self.pages.secret_variable) == (None, None):
            raise ValueError("ehrs.smart opens pages: it needs service.public_url, and in [pages] a secret")
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


def _single(value: object, name: str) -> Iterator[tuple[str, object]]:
    if not isinstance(value, BaseModel | tuple):
        yield name, value
        return
    for part, inner in iter(value) if isinstance(value, BaseModel) else enumerate(value):
        yield from _single(inner, f"{name}.{part}".removeprefix("."))


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
        if not environment:
            return _OfFileAlone.of(file, values)
        settings = Settings.of(file, values)
    except ValidationError as e:
        raise SettingsError(f"the settings cannot be used: {'; '.join(map(_in_words, e.errors()))}") from None
    except EnvironmentNotRead as e:
        raise SettingsError(f"the environment cannot be used: {e}") from None
    _refuse_unknown_variables(settings)
    return settings


def _in_words(wrong: ErrorDetails) -> str:
    """Where it stands, unless it is about several settings, which our own words name; and what is wrong."""
    place = ".".join(map(str, wrong["loc"]))
    said = "there is no such setting" if wrong["type"] == "extra_forbidden" else wrong["msg"]
    return ": ".join(filter(None, (place, said.removeprefix("Value error, "))))


def _refuse_unknown_variables(settings: Settings) -> None:
    """A variable with a slip in its name would be passed over without a word."""
    meant = {NAMES_THE_FILE, *(value for name, value in settings.single() if name.endswith("_variable"))}
    unknown = [name for name in os.environ if name.upper().startswith(PREFIX) and not _is_setting(name)]
    if wrong := ", ".join(sorted(set(unknown) - meant)):
        raise SettingsError(
            f"the environment cannot be used: {wrong}: there is no such setting; those within a block have two "
            f"underscores, as in {PREFIX}SERVICE{WITHIN}PORT"
        )


def _is_setting(variable: str) -> bool:
    """Whether a variable names a setting, or one within a block: which those are, the block itself knows."""
    name, within, _ = variable[len(PREFIX) :].lower().partition(WITHIN)
    field = Settings.model_fields.get(name)
    if field is None or not within:
        return field is not None
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


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
