"""The settings of the processes: the web service, the worker, the night."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from cds.addresses import Network
from cds.settings.fields import Cron, Device, HttpUrl, Origin, Section, ServerAddress, Text, TimeZone
from model.precision import Precision

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ServiceSettings(Section):
    """Where the service listens, and whom it answers. Loopback unless a TLS proxy stands before it."""

    host: str = "127.0.0.1"
    public_url: ServerAddress | None = None
    """The address that EHRs call, without `/cds-services`: their tokens name it in `aud`."""
    trust: Literal["jwt", "demo"] = "jwt"
    """`jwt`: a call is answered only with a token of its EHR. `demo`: with none, on loopback, for trying out."""
    token_skew_s: int = Field(default=60, ge=0, le=300)
    """How far the clocks of an EHR and of this machine may differ."""
    token_lifetime_s: int = Field(default=3600, ge=60, le=86_400)
    """How long ahead of now a token may expire at most."""
    allowed_origins: tuple[Origin, ...] = ()
    """The origins of web pages whose scripts may call the service, such as `https://ehr.example.org`."""
    trusted_proxies: tuple[Network, ...] = ()
    """The site's own proxies, such as `127.0.0.1/32`: whom one of them names last in `X-Forwarded-For` is taken for the
    caller, in the audit trail and by `calls_per_minute`."""
    port: int = Field(default=8410, ge=0, le=65535)
    threads: int = Field(default=16, ge=1)
    answer_budget_s: float = Field(default=2.0, ge=0)
    """How long a hook waits for a score that the worker is making."""
    processes: int = Field(default=1, ge=1, le=64)
    """How many processes answer; each has its own threads."""
    slow_client_s: float = Field(default=20.0, gt=0)
    """How long a request may take to arrive, and an answer to be taken."""
    calls_per_minute: int = Field(default=6000, ge=1)
    """How many calls of one EHR a process takes in a minute; more are answered 429."""
    label: Text = "MammoTrend"
    url: HttpUrl | None = None

    @field_validator("trusted_proxies")
    @classmethod
    def _are_not_everybody(cls, proxies: tuple[Network, ...]) -> tuple[Network, ...]:
        if any(network.prefixlen == 0 for network in proxies):
            raise ValueError("a network of all addresses would have anybody say who calls: list the proxies meant")
        return proxies

    @model_validator(mode="after")
    def _is_open_only_to_this_machine(self) -> Self:
        if self.trust == "demo" and self.host not in _LOOPBACK:
            raise ValueError(f"trust = 'demo' answers anybody, so host must be one of {', '.join(_LOOPBACK)}")
        return self


class ScoringSettings(Section):
    """What the worker computes on."""

    engine: Literal["in-process", "ray"] = "in-process"
    """`in-process`: on this machine. `ray`: on the Ray cluster of the section `cluster`."""
    device: Device = ""
    """`cpu`, `cuda` or `cuda:1`; empty: CUDA where there is one."""
    precision: Precision = Precision.FLOAT32
    """Lower ones need a passing `mammotrend model verify NAME --precision ...` on the same machine."""
    batch_exams: int | None = Field(default=None, ge=1)
    """How many waiting exams are scored together; without it, what suits the device."""
    calibration: Path | None = None
    """The file of the site's own calibration, of `mammotrend study calibrate`: its scores are a class of their own."""


class ClusterSettings(Section):
    """What a Ray cluster is used for where `scoring.engine` is `ray`. Needs the extra `cluster`."""

    address: Text = "auto"
    """`auto`: the cluster of which this machine is a node; or a node's `host:port`."""
    scorers: int = Field(default=0, ge=0, le=4096)
    """How many processes hold the model; 0: one for each GPU, or, where the cluster has none, for each node."""
    cores_a_scorer: int = Field(default=0, ge=0, le=1024)
    """How many cores one of them computes on; 0: one beside a GPU, or, without GPUs, all cores shared among them."""
    fetchers: int = Field(default=0, ge=0, le=4096)
    """How many exams are under way at a time; 0: as many as there are cores for."""
    cores_an_exam: float = Field(default=0.5, gt=0)
    """How much of a core an exam takes that is fetched and prepared: half the time it waits for the archive."""
    in_flight_megabytes: int = Field(default=0, ge=0)
    """How much memory of the cluster exams may take that are not scored yet; 0: 512 for each that is under way."""


class NightSettings(Section):
    """When the worker looks for new exams by itself: five cron fields in the given time zone, empty for never."""

    cron: Cron = "0 2 * * *"
    time_zone: TimeZone = "UTC"
