"""The settings of an EHR: whether it is believed, how it is read, and what its cards may do."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from cds.settings.fields import CaBundle, Section, ServerAddress, ServerRoot, Text, TimeZone
from cds.settings.orders import OrderCodesSettings, OrderSettings
from cds.settings.profiles import DEFAULT_PROFILE
from cds.settings.secret_values import KeptSecret
from hooks.site import Mode

# What the night reads, and what writing back needs.
NIGHT_SCOPES = ("system/ImagingStudy.rs", "system/Patient.rs")
WRITING_SCOPES = ("system/RiskAssessment.crus",)
# Who is looking at what, without which no page is shown; the patient herself is only read where the EHR wants a banner.
NEEDED_TO_LAUNCH = ("launch", "openid", "fhirUser")


class RiskAssessmentBy(StrEnum):
    """How a RiskAssessment gets into this EHR's chart: offered on the card, written by the worker, both, or not."""

    SUGGESTION = "suggestion"
    WRITE_BACK = "write-back"
    BOTH = "both"
    NONE = "none"


class CallerSettings(Section):
    """How the EHR's calls prove that they are its own: the JWT of CDS Hooks 2.0.1, Trusting CDS Clients."""

    issuer: Text
    """The `iss` of its tokens, exactly as it stands there."""
    jwks_url: ServerAddress | None = None
    """Where its public keys are; a token's `jku` may name this address and no other."""
    jwks_file: Path | None = None
    """A file with its public keys (JWKS), where they were handed over."""
    algorithms: tuple[Literal["ES384", "RS384", "ES256", "RS256", "ES512", "RS512", "PS384"], ...] = Field(
        default=("ES384", "RS384"), min_length=1
    )
    tenants: tuple[Text, ...] = ()
    """The `tenant` values that are this EHR; without any, the claim is not looked at."""

    @model_validator(mode="after")
    def _has_one_source_of_keys(self) -> Self:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("set either jwks_url or jwks_file: the public keys of the EHR come from one of them")
        return self


class SmartSettings(KeptSecret):
    """How the EHR opens the page of a card by itself: SMART App Launch 2.2, EHR launch. The secret is the client's."""

    client_id: Text
    """Who the page is to the EHR's authorization server; a public client without a secret."""
    scope: Text = "launch openid fhirUser patient/Patient.r"
    """What is asked for: the patient in context, who is looking, and her name and birth date for the banner."""
    authorization_server: ServerRoot | None = None
    """The address of its authorization server, where that is not on the FHIR server's own origin."""

    @field_validator("scope")
    @classmethod
    def _says_who_sees_whom(cls, value: str) -> str:
        missing = [scope for scope in NEEDED_TO_LAUNCH if scope not in value.split()]
        if missing:
            raise ValueError(f"must also ask for {' '.join(missing)}: else it is not known who sees whose page")
        return value


class EhrSettings(Section):
    """One EHR that may call, or that the night reads. Other FHIR servers are neither believed nor called."""

    name: Text
    fhir_server: ServerRoot
    profile: Text = DEFAULT_PROFILE
    """The kind of EHR, by name, or a file of the site's own: what is not set in this block is taken from it."""
    mode: Mode = Mode.SILENT
    responsible_person: Text | None = None
    """Who answers for what the cards say; `active` needs one."""
    caller: CallerSettings | None = None
    """How its calls are known; the web service needs it, unless it runs as a demonstration."""
    smart: SmartSettings | None = None
    """How it opens the page of a card by itself; without it, whoever has a card's signed link opens the page."""
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
    risk_assessment: RiskAssessmentBy = RiskAssessmentBy.SUGGESTION
    """How a RiskAssessment gets into the chart; to write, the nightly token must cover writing RiskAssessments."""
    one_action_each: bool = True
    """Offer one action in each suggestion; false: what a card offers is accepted together, in one."""
    longest_id: int = Field(default=128, ge=64, le=128)
    """How many characters a FHIR id of this EHR may have; FHIR says 64, some have more."""
    mri_order: OrderSettings | None = None
    """The breast MRI order in this EHR's own code, in place of the site's."""
    own_order_code_needed: bool = False
    """Whether this EHR takes only orders of its own list: `mri_order` must then name one before a card is shown."""
    order_codes: OrderCodesSettings = OrderCodesSettings()
    """What this EHR's own order codes mean, beside those of the site."""
    ca_file: CaBundle | None = None
    """The certificate authorities that vouch for this server, in place of the public ones."""

    @property
    def write_back(self) -> bool:
        """Whether each patient's newest assessment is written into the chart."""
        return self.risk_assessment in (RiskAssessmentBy.WRITE_BACK, RiskAssessmentBy.BOTH)

    @property
    def offers_assessment(self) -> bool:
        """Whether a card offers to record the RiskAssessment."""
        return self.risk_assessment in (RiskAssessmentBy.SUGGESTION, RiskAssessmentBy.BOTH)

    @property
    def asked_scope(self) -> str:
        """The scopes that the nightly run asks for, as SMART App Launch 2 writes them."""
        return self.scope or " ".join(NIGHT_SCOPES + (WRITING_SCOPES if self.write_back else ()))

    @model_validator(mode="after")
    def _is_silent_everywhere(self) -> Self:
        if self.write_back and self.mode is Mode.SILENT:
            raise ValueError(
                f"risk_assessment = '{self.risk_assessment}' needs mode = 'research' or 'active': a silent service "
                "writes nothing either"
            )
        return self

    @model_validator(mode="after")
    def _somebody_answers_for_it(self) -> Self:
        if self.mode is Mode.ACTIVE and self.responsible_person is None:
            raise ValueError("mode = 'active' needs responsible_person: the name of who answers for what the cards say")
        return self

    @model_validator(mode="after")
    def _offers_what_the_ehr_takes(self) -> Self:
        if self.own_order_code_needed and self.mri_order is None and self.mode is not Mode.SILENT:
            raise ValueError(
                "mri_order: this EHR takes only orders of its own list; set [ehrs.mri_order] with its code and system"
            )
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
