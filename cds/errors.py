"""Everything that goes wrong between the service and the world, as one tree.

MammoTrendError
├── EhrError                  the EHR's FHIR server
│   ├── EhrUnreachable        no connection, too slow, or 429/5xx after the retries
│   ├── EhrRefused            401 or 403
│   ├── EhrNotFound           404 or 410: it answered, and does not have it
│   ├── EhrAnswerBroken       not JSON, not FHIR, an OperationOutcome, or only a part of it
│   ├── EhrRejected           400 or 422 to a write: it does not accept the resource
│   ├── EhrConflict           409 or 412 to a write: what it holds has changed since it was read
│   └── EhrChartUnclear       it holds an assessment of ours several times, or under another patient
├── PacsError                 the image archive
│   ├── PacsUnreachable       no connection, too slow, or 429/5xx after the retries
│   ├── PacsRefused           401 or 403
│   ├── StudyNotFound         it answered, and does not have the study
│   ├── StudyIncomplete       it has the study, and what arrived is not all of it or not only it
│   ├── StudyAmbiguous        several different studies fit what was asked
│   ├── PatientUnclear        what fits carries another patient's ID or nobody's, or hers is not known
│   └── ReportRejected        it does not accept the report, or the report cannot be made from what it holds
├── UntrustedServer           an address that the site has not listed
├── CallerNotTrusted          a call without a token that proves whose it is (401)
├── CallerKeysUnread          the public keys that a caller's token is held against could not be had (503)
├── LinkRefused               the link of a page that this service has not made, or that opens nothing (403)
│   ├── LinkExpired           it was made here, and its time is over (410)
│   └── LaunchRefused         an EHR's launch that does not prove who sees whose page (403)
├── SettingsError             the settings file or the environment
│   └── DatabaseUnreachable   the database that they name does not answer at the moment
├── ModelNotUsable            no checkpoint, a damaged one, or one not allowed in this mode
├── ClusterNotUsable          the cluster that scores is too small, or one of its nodes is not set up
│   └── ClusterUnreachable    none answers at the moment
├── StudyNotPossible          a study's files or numbers do not allow what was asked of it
├── HookRequestError          a CDS Hooks call that breaks its contract (400)
│   └── BodyTypeUnknown       its body is not said to be JSON (415)
└── RequiredDataMissing       neither prefetch nor the EHR has what the answer needs (412)

Messages say what is wrong and what to do. They carry no patient identifier, no token and no query of a URL, because
they are shown on cards and written to logs; values from outside appear as `!r`.
"""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus
from typing import ClassVar

from fhir_mappings.errors import ResourceProblem
from model.errors import DeviceFault, ModelError


class MammoTrendError(Exception):
    """Anything this service foresees; `http_status` is what a caller over HTTP is answered.

    `may_pass` says whether the same may work later, without anybody doing anything.
    """

    http_status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    may_pass: ClassVar[bool] = True


class EhrError(MammoTrendError):
    """The EHR could not give what was asked."""

    http_status = HTTPStatus.BAD_GATEWAY


class EhrUnreachable(EhrError):
    """The EHR did not answer; asking again later may help, after `retry_after_s` seconds where it said so."""

    http_status = HTTPStatus.GATEWAY_TIMEOUT

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EhrRefused(EhrError):
    """The EHR does not accept the access token, or the token does not cover this."""


class EhrNotFound(EhrError):
    """The EHR answered that it has no such resource."""


class EhrAnswerBroken(EhrError):
    """The EHR's answer cannot be used, or is not the whole answer."""


class EhrRejected(EhrError):
    """The EHR does not accept what was to be written; writing it again does not help."""

    may_pass = False


class EhrConflict(EhrError):
    """What the EHR holds has changed since it was read: read it again, then write."""


class EhrChartUnclear(EhrError):
    """Which resource is to be written over is not known, so nothing was written; the site must correct the chart."""

    may_pass = False


class PacsError(MammoTrendError):
    """The image archive could not give what was asked."""

    http_status = HTTPStatus.BAD_GATEWAY


class PacsUnreachable(PacsError):
    """The archive did not answer; asking again later may help."""

    http_status = HTTPStatus.GATEWAY_TIMEOUT


class PacsRefused(PacsError):
    """The archive does not accept our credentials."""


class StudyNotFound(PacsError):
    """The archive answered that it has no such study."""

    http_status = HTTPStatus.NOT_FOUND


class StudyIncomplete(PacsError):
    """What arrived is not the whole study, or not only that study; it must not be scored."""


class StudyAmbiguous(PacsError):
    """Several different studies fit; which one is meant must be said by the site, never guessed."""

    http_status = HTTPStatus.CONFLICT


class PatientUnclear(PacsError):
    """What fits carries no ID of the patient, or none of hers is known; it is never taken for hers."""

    http_status = HTTPStatus.CONFLICT


class ReportRejected(PacsError):
    """A report could not be made or was not accepted; sending the same again does not help."""

    may_pass = False


class UntrustedServer(MammoTrendError):
    """An address that the site has not listed; nothing was sent to it."""

    http_status = HTTPStatus.FORBIDDEN


class Distrust(StrEnum):
    """Why a caller is not trusted: a word for the log, and never for the caller."""

    MISSING = "missing"
    NOT_A_JWT = "not-a-jwt"
    TYPE = "type"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    LIFETIME = "lifetime"
    ISSUED_AT = "issued-at"
    NOT_BEFORE = "not-before"
    TENANT = "tenant"
    SUBJECT = "subject"
    JTI = "jti"
    ALGORITHM = "algorithm"
    KEY_ADDRESS = "key-address"
    KEY_ID = "key-id"
    SIGNATURE = "signature"
    REPLAYED = "replayed"


class CallerNotTrusted(MammoTrendError):
    """The call does not prove whose it is; `issuer` is set only where it is one that the site has configured."""

    http_status = HTTPStatus.UNAUTHORIZED

    def __init__(self, reason: Distrust, issuer: str | None = None) -> None:
        super().__init__(f"the caller is not trusted: {reason}")
        self.reason = reason
        self.issuer = issuer


class CallerKeysUnread(MammoTrendError):
    """Whether the call is its EHR's own cannot be told, because the EHR's public keys could not be read."""

    http_status = HTTPStatus.SERVICE_UNAVAILABLE


class LinkRefused(MammoTrendError):
    """The link of a page shows nothing: it is damaged or forged, or what it was made for is not there."""

    http_status = HTTPStatus.FORBIDDEN


class LinkExpired(LinkRefused):
    """The time of the link of a page is over."""

    http_status = HTTPStatus.GONE


class LaunchRefused(LinkRefused):
    """A launch by the EHR (SMART App Launch 2.2) that shows nothing, because who sees whose page is not proved."""


class SettingsError(MammoTrendError):
    """The settings cannot be used as they are."""


class DatabaseUnreachable(SettingsError):
    """The database does not answer: it may be starting, or the settings are wrong; starting again later may help."""


class ModelNotUsable(MammoTrendError):
    """The model cannot be used, or may not be used in this mode."""

    http_status = HTTPStatus.SERVICE_UNAVAILABLE


class ClusterNotUsable(MammoTrendError):
    """The cluster that is to score is too small, or one of its nodes is not set up."""


class ClusterUnreachable(ClusterNotUsable):
    """No cluster can be joined: it may be starting, or the settings are wrong; starting again later may help."""


class StudyNotPossible(MammoTrendError):
    """A file of a study cannot be read as one, or there is too little in it for what was asked."""


class HookRequestError(MammoTrendError):
    """The call breaks the contract of its hook (CDS Hooks 2.0.1, section Calling a CDS Service)."""

    http_status = HTTPStatus.BAD_REQUEST


class BodyTypeUnknown(HookRequestError):
    """The body of a call is said to be something else than JSON."""

    http_status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class RequiredDataMissing(MammoTrendError):
    """Data that the answer needs could not be had (CDS Hooks 2.0.1, section Prefetch Template: 412)."""

    http_status = HTTPStatus.PRECONDITION_FAILED


OURS = (MammoTrendError, ModelError, DeviceFault, ResourceProblem)
"""What the packages raise on purpose, in sentences that may be shown."""


def told(fault: Exception) -> str:
    """What went wrong, for a log, a card or a record. Words of others may name a patient, an address or a secret."""
    return str(fault) if isinstance(fault, OURS) else f"an unforeseen fault ({type(fault).__name__})"
