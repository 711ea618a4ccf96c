"""Links from a card to its page: signed, short-lived, and without anything in them that identifies a patient."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadSignature, SignatureExpired, TimestampSigner, URLSafeTimedSerializer

from cds.errors import LinkExpired, LinkRefused

PATH = "/trajectory"
LAUNCH_PATH = "/smart/launch"
SALT = "mammotrend.trajectory"
"""So that nothing else that is ever signed with the same key opens a page."""


class _ClockedSigner(TimestampSigner):
    """Signs with the hour of the clock that it is given."""

    def __init__(self, *arguments: Any, now: Callable[[], datetime], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._now = now

    def get_timestamp(self) -> int:
        """Now, in whole seconds."""
        return int(self._now().timestamp())


@dataclass(frozen=True)
class CardLinks:
    """The links of one site's cards; `address` is the service's own, without a slash at its end."""

    address: str
    secret: str = field(repr=False)
    lifetime: timedelta
    now: Callable[[], datetime]

    def url(self, card: str, ehr: str) -> str:
        """The address of a card's page, good from now on for its lifetime."""
        return f"{self.address}{PATH}/{self._serializer.dumps([card, ehr])}"

    @property
    def launch_url(self) -> str:
        """The address that an EHR opens by a SMART launch, the same for every card."""
        return f"{self.address}{LAUNCH_PATH}"

    def opened(self, token: str) -> tuple[str, str]:
        """The card's uuid and its EHR's name; raises LinkExpired, and LinkRefused for what was not signed here."""
        try:
            card, ehr = self._serializer.loads(token, max_age=int(self.lifetime.total_seconds()))
        except SignatureExpired as e:
            raise LinkExpired("This link has expired.") from e
        except BadSignature as e:
            raise LinkRefused("This link is damaged, or was not made by this service.") from e
        return card, ehr

    @property
    def _serializer(self) -> URLSafeTimedSerializer:
        signing = {"now": self.now, "key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeTimedSerializer(self.secret, SALT, signer=_ClockedSigner, signer_kwargs=signing)
