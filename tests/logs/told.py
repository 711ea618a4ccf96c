"""What the product is told that must not be in its logs, and proof that it was told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

USER = "Practitioner/dr-grimhilde-909090"
COMMENT = "She spoke of her sister Rosamunda in Valparaiso"
ORDER = "order-zq77-8899001"
BORN = date(1961, 7, 13)
ACCESS_TOKEN = "access-token-Kq9zWvUt3"  # invented, as the rest
SUBJECT = "subject-user-554433"
TENANT = "tenant-of-clinic-7"
WORKER_TOKEN = "worker-token-Jw4Rb8"
ARCHIVE_PASSWORD = "archive-password-XyZzY"
DATABASE_PASSWORD = "database-password-PlUgH"
BROKEN_PASSWORD = "variable-password-FrOtZ"
SERIAL_NUMBER = "SN-QX-5522113"
OPERATOR, REFERRER = "Hildebrandt^Oskarine", "Winterbottom^Cornelia"
ODD_AGE = "QX47Y-AGE"
ALLERGY = "hives after gadolinium in Ljubljana"

ALWAYS = {
    "the user": USER.partition("/")[2],
    "the override's comment": COMMENT,
    "a name in the comment": "Rosamunda",
    "an order": ORDER,
    "the birthday": BORN.isoformat(),
    "the birthday in DICOM": BORN.strftime("%Y%m%d"),
    "the calls' access token": ACCESS_TOKEN,
    "the tokens' subject": SUBJECT,
    "the worker's tokens": WORKER_TOKEN,
    "the archive's password": ARCHIVE_PASSWORD,
    "the database's password": DATABASE_PASSWORD,
    "the password in a broken variable": BROKEN_PASSWORD,
    "the device's serial number": SERIAL_NUMBER,
    "the operator": OPERATOR,
    "who referred her": REFERRER,
    "an age that is none": ODD_AGE,
    "an allergy in words": ALLERGY,
}


@dataclass
class Told:
    """The secrets, by what they are, and everything that went over the wires, was in a file or in the environment."""

    secrets: dict[str, str] = field(default_factory=lambda: dict(ALWAYS))
    overheard: bytearray = field(default_factory=bytearray)

    def keep(self, what: str, value: str) -> str:
        """The value, from now on one of the secrets."""
        self.secrets[f"{what}, number {len(self.secrets)}"] = value
        return value

    def hear(self, *parts: object) -> None:
        """Note what is told."""
        for part in parts:
            self.overheard += part if isinstance(part, bytes) else str(part).encode()

    def quoted(self) -> str:
        """The secrets as a server could quote them in the words of a failure."""
        return " ".join(list(self.secrets.values())[:60])

    def overhearing(self, app: WSGIApplication) -> WSGIApplication:
        """The server, of which every request and answer is noted."""

        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            body = environ["wsgi.input"].read()
            told = (environ["PATH_INFO"], environ["QUERY_STRING"], environ.get("HTTP_AUTHORIZATION"), body)
            self.hear(*told)
            for chunk in app({**environ, "wsgi.input": BytesIO(body)}, start_response):
                self.hear(chunk)
                yield chunk

        return answer

    def untold(self) -> list[str]:
        """The secrets that nobody was told, by what they are."""
        heard = bytes(self.overheard)
        return [what for what, secret in self.secrets.items() if secret.encode() not in heard]
