"""What an audit trail tells of: who did what with which patient's data, through which call."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Action(StrEnum):
    """What was done. `refused` is an exam that was not scored, `caller-refused` a call that was not answered.

    `cleared` is what was deleted because it had been kept as long as the site wants.
    """

    SCORED = "scored"
    REFUSED = "refused"
    MOVED = "moved"
    UNLISTED = "unlisted"
    ASSESSED = "assessed"
    RETRACTED = "retracted"
    WRITTEN = "written"
    REPORTED = "reported"
    ANSWERED = "answered"
    FEEDBACK = "feedback"
    SEEN = "seen"
    CALLER_REFUSED = "caller-refused"
    CLEARED = "cleared"


class AccessOutcome(StrEnum):
    """How it ended. `refused`: we did not let it happen; `failed`: it was let, and went wrong."""

    SUCCESS = "success"
    REFUSED = "refused"
    FAILED = "failed"


class ReadFrom(StrEnum):
    """Where data came from: with the call, from the EHR's FHIR server, or nowhere, though it was asked for."""

    PREFETCH = "prefetch"
    FHIR_SERVER = "fhir-server"
    NOWHERE = "nowhere"


@dataclass(frozen=True)
class Read:
    """One query for a patient's data. `template` names her by `{{context.patientId}}`, as a prefetch template does."""

    template: str
    source: ReadFrom


@dataclass(frozen=True)
class WebCall:
    """The call over HTTP by which data was asked for.

    `service` is a CDS service's id or a page's name, `address` the caller's IP address as we see it, `cards` how many
    were sent or, for feedback, told of, and `mode` the EHR's.
    """

    service: str
    address: str | None = None
    hook_instance: str | None = None
    mode: str | None = None
    cards: int | None = None
    reads: tuple[Read, ...] = ()


@dataclass(frozen=True)
class AccessEvent:
    """One thing that was done with a patient's data, or refused to be done: then neither she nor the EHR need be known.

    `user_id` is whom the EHR names, such as `Practitioner/123`; None for what the service does by itself.
    """

    action: Action
    at: datetime
    ehr: str | None
    patient_id: str | None = field(repr=False)
    study_uid: str | None = field(default=None, repr=False)
    detail: str = ""
    outcome: AccessOutcome = AccessOutcome.SUCCESS
    user_id: str | None = field(default=None, repr=False)
    call: WebCall | None = None
