"""What an EHR sends to a CDS service (CDS Hooks 2.0.1, Calling a CDS Service), read tolerantly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hooks.json_rules import is_absolute_url

_FHIR_ID = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9\-.]{1,128}")  # FHIR says 64; some EHRs' ids are longer
_TOKEN = re.compile(r"[\x21-\x7e]+")  # anything else could not stand in an Authorization header


class ContractError(ValueError):
    """A request that is not a CDS Hooks call; the message says what is missing, never what was sent."""


@dataclass(frozen=True)
class Authorization:
    """The EHR's short-lived leave to read its FHIR server; the token is never shown in a repr."""

    access_token: str = field(repr=False)
    expires_in: int | None = None
    scope: str = ""
    subject: str = ""
    patient: str | None = field(default=None, repr=False)

    @classmethod
    def from_json(cls, body: object) -> Authorization:
        """Read `fhirAuthorization`; raises ContractError without a usable bearer token.

        Scopes are kept as written: SMART v1 (`patient/*.read`), v2 (`patient/*.rs`) and free text are all met.
        """
        members = _object(body, "fhirAuthorization")
        token, kind, scope = (members.get(name) for name in ("access_token", "token_type", "scope"))
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise ContractError("fhirAuthorization needs access_token, text without blanks or control characters")
        if isinstance(kind, str) and kind.lower() != "bearer":
            raise ContractError("fhirAuthorization.token_type must be Bearer")
        words = scope if isinstance(scope, list) else [scope]
        return cls(
            token,
            _seconds(members.get("expires_in")),
            " ".join(word for word in words if isinstance(word, str)),
            _text_or_none(members.get("subject")) or "",
            (_text_or_none(members.get("patient")) or "").removeprefix("Patient/") or None,
        )


@dataclass(frozen=True)
class HookRequest:
    """One call of an EHR. `prefetch` holds what came with it: a missing key and a null are different things."""

    hook: str
    hook_instance: str
    context: Mapping[str, object] = field(repr=False)
    prefetch: Mapping[str, object] = field(default_factory=dict, repr=False)
    fhir_server: str | None = None
    authorization: Authorization | None = None

    @classmethod
    def from_json(cls, body: object) -> HookRequest:
        """Read a request body that is parsed already; raises ContractError. Unknown members are ignored."""
        members = _object(body, "the request body")
        leave = members.get("fhirAuthorization")
        prefetch = members.get("prefetch")
        return cls(
            _text(members, "hook"),
            _text(members, "hookInstance"),
            _object(members.get("context"), "context"),
            {} if prefetch is None else _object(prefetch, "prefetch"),
            _fhir_server(members.get("fhirServer")),
            None if leave is None else Authorization.from_json(leave),
        )

    @property
    def patient_id(self) -> str:
        """The id of the patient whom the call is about.

        Raises ContractError if it is no FHIR id, or if the access token is for another patient.
        """
        patient_id = self.context_text("patientId").removeprefix("Patient/")
        if not _FHIR_ID.fullmatch(patient_id):
            raise ContractError("context.patientId must be a FHIR id: letters, digits, '-' and '.'")
        if self.authorization and self.authorization.patient not in (None, patient_id):
            raise ContractError("fhirAuthorization is for another patient than context.patientId")
        return patient_id

    def context_text(self, name: str) -> str:
        """A required text of the context; raises ContractError if it is missing."""
        return _text(self.context, name, "context.")


def _object(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ContractError(f"{name} is missing or not a JSON object")
    return value


def _text(members: Mapping[str, object], name: str, where: str = "") -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ContractError(f"{where}{name} is missing or not a text")
    return value


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _seconds(value: object) -> int | None:
    """Some EHRs send the number as text; a bool, which Python counts as an int, is junk."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return int(value) if re.fullmatch(r"[0-9]{1,9}", str(value)) else None


def _fhir_server(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not is_absolute_url(value):
        raise ContractError("fhirServer must be an absolute http(s) address")
    return value
