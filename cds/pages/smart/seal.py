"""What a browser keeps for us: sealed, so that it can neither be read nor altered there, and for a short time only."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from cds.errors import LaunchRefused, LinkExpired


@dataclass(frozen=True)
class Seal:
    """Seals for one purpose and lifetime; what another purpose has sealed does not open.

    The links of cards are only signed: all they hold is a card's number. What is sealed here may name a patient.
    """

    secret: str = field(repr=False)
    purpose: str
    lifetime: timedelta
    now: Callable[[], datetime]

    def sealed(self, content: dict[str, Any]) -> str:
        """The content as a text for a cookie."""
        return self._fernet.encrypt_at_time(json.dumps(content).encode(), self._now_s()).decode()

    def opened(self, written: str) -> dict[str, Any]:
        """What was sealed; raises LinkExpired, and LaunchRefused for what was not sealed here."""
        try:
            age_s = self._now_s() - self._fernet.extract_timestamp(written)
            if age_s > self.lifetime.total_seconds():
                raise LinkExpired("The time of this page is over.")
            content: dict[str, Any] = json.loads(self._fernet.decrypt(written))
        except (InvalidToken, ValueError) as e:
            raise LaunchRefused("What your browser keeps for this page is damaged, or is not of this service.") from e
        return content

    @property
    def _fernet(self) -> Fernet:
        key = hmac.digest(self.secret.encode(), f"mammotrend.{self.purpose}".encode(), hashlib.sha256)
        return Fernet(base64.urlsafe_b64encode(key))

    def _now_s(self) -> int:
        return int(self.now().timestamp())
