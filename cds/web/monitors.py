"""Those who watch the service, and the secret by which they are known."""

from __future__ import annotations

import hmac
from base64 import b64encode
from dataclasses import dataclass, field

OPERATOR = "operator"
"""The user's name of who looks with a browser; the secret is the password."""


@dataclass(frozen=True)
class Monitors:
    """Who may read what is told of the service: whoever brings the secret, or anybody where there is none."""

    secret: str | None = field(default=None, repr=False)

    def may_read(self, authorization: str) -> bool:
        """Whether a request with this Authorization header is of a program of theirs."""
        return self.secret is None or _is_same(authorization, f"Bearer {self.secret}")

    def may_look(self, authorization: str) -> bool:
        """Whether it is of a browser of theirs (RFC 7617)."""
        if self.secret is None:
            return True
        return _is_same(authorization, f"Basic {b64encode(f'{OPERATOR}:{self.secret}'.encode()).decode()}")


def _is_same(told: str, expected: str) -> bool:
    # In the same time however much of it is right. WSGI tells each byte of a header as the character of that number.
    return hmac.compare_digest(told.encode("latin-1", "replace"), expected.encode())
