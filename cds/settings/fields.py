"""What single settings may be: addresses, texts, codes, files."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger
from pydantic import AfterValidator, BaseModel, ConfigDict

from cds.errors import UntrustedServer
from cds.origins import listed
from hooks.json_rules import is_absolute_url


class Section(BaseModel):
    """A block of settings: nothing unknown in it, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


def _origin(value: str) -> str:
    # Of a path browsers say nothing when they name an origin, and a quote would end a policy that names one.
    if not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", root := _server_root(value)):
        raise ValueError("must be an origin, such as https://ehr.example.org, without a path")
    return root


def is_among(server: str, others: Sequence[str]) -> bool:
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


def _cron(value: str) -> str:
    if not value.strip():
        return value
    # APScheduler counts weekdays from Monday, cron from Sunday: `* * * * 0` would run a day late without a word.
    if any(character.isdigit() for character in value.split()[-1]):
        raise ValueError(f"write the weekday of {value!r} by name, such as sun or mon-fri")
    try:
        CronTrigger.from_crontab(value, timezone="UTC")
    except ValueError as e:
        raise ValueError(f"{value!r} is not five cron fields: {e}") from e
    return value


def _device(value: str) -> str:
    if not re.fullmatch(r"(cpu|cuda(:[0-9]+)?)?", value):
        raise ValueError("must be cpu, cuda or, of several GPUs, cuda:1; empty: CUDA where there is one")
    return value


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _fhir_code(value: str) -> str:
    # FHIR R4, datatype code.
    if not re.fullmatch(r"\S+(\s\S+)*", value):
        raise ValueError("must be a code: no blanks around it, and single ones within")
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
Origin = Annotated[str, AfterValidator(_origin)]
Uri = Annotated[str, AfterValidator(_absolute_uri)]
Text = Annotated[str, AfterValidator(_said)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Cron = Annotated[str, AfterValidator(_cron)]
Device = Annotated[str, AfterValidator(_device)]
FhirCode = Annotated[str, AfterValidator(_fhir_code)]
Display = Annotated[str, AfterValidator(_unpadded)]
CaBundle = Annotated[Path, AfterValidator(_ca_bundle)]
