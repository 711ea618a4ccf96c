"""The settings of an EHR: whether it is believed, how it is read, and what its cards may do."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from cds.settings.fields import CaBundle, Section, ServerAddress, ServerRoot, Text, TimeZone
from hooks.site import Mode

# What the night reads, and what writing back needs.
NIGHT_SCOPES = ("system/ImagingStudy.rs", "system/Patient.rs")
WRITING_SCOPES = ("system/RiskAssessment.crus",)


class EhrSettings(Section):
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
