"""The settings of the processes: the web service, the worker, the night."""

from __future__ import annotations

from pydantic import Field

from cds.settings.fields import HttpUrl, Section, Text, TimeZone
from model.precision import Precision


class ServiceSettings(Section):
    """Where the service listens. Loopback unless a TLS proxy stands before it."""

    host: str = "127.0.0.1"
    port: int = Field(default=8410, ge=0, le=65535)
    threads: int = Field(default=16, ge=1)
    answer_budget_s: float = Field(default=2.0, ge=0)
    """How long a hook waits for a score that the worker is making."""
    label: Text = "MammoTrend"
    url: HttpUrl | None = None


class ScoringSettings(Section):
    """What the worker computes on."""

    device: str = Field(default="", pattern=r"^(cpu|cuda(:\d+)?)?$")
    """`cpu`, `cuda` or `cuda:1`; empty: CUDA where there is one."""
    precision: Precision = Precision.FLOAT32
    """Lower ones need a passing `mammotrend model verify NAME --precision ...` on the same machine."""
    batch_exams: int | None = Field(default=None, ge=1)
    """How many waiting exams are scored together; without it, what suits the device."""


class NightSettings(Section):
    """When the worker looks for new exams by itself: five cron fields in the given time zone, empty for never."""

    cron: str = "0 2 * * *"
    time_zone: TimeZone = "UTC"
