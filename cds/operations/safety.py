"""What is refused before anything starts, because it would leave patients' data or secrets open to others."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from cds.addresses import Network, is_this_machine
from cds.errors import SettingsError
from cds.settings import Settings
from cds.settings.profiles import profile_names

CARRY_SECRETS = (
    *("fhir_server", "jwks_url", "token_url", "authorization_server", "public_url", "dicomweb_root"),
    *("allowed_origins", "frame_ancestors"),
)
"""Addresses over which tokens, keys or patients' data go; others, such as a rule's source, only stand in texts."""
SECRET_FILES = ("access_token_file", "private_key_file", "password_file", "secret_file")
LEAST_SECRET = 16
"""Characters of a secret that somebody may guess at."""


def refuse_unsafe(settings: Settings) -> None:
    """Raise a SettingsError that names every setting which is not safe, and says what to do."""
    single = list(settings.single())
    unsafe = [
        *_sent_in_clear(single),
        *_open_files(_files(settings.file, single)),
        *_open_database(settings.database_url),
        *_everywhere(settings.private_networks),
        *_guessable(settings),
    ]
    if unsafe:
        raise SettingsError(f"the settings are not safe: {'; '.join(unsafe)}")


def _sent_in_clear(single: list[tuple[str, object]]) -> Iterator[str]:
    for name, value in single:
        if isinstance(value, str) and not set(CARRY_SECRETS).isdisjoint(name.split(".")):
            address = urlsplit(value)
            if address.scheme == "http" and not is_this_machine(address.hostname or ""):
                yield (
                    f"{name} must begin with https, or what goes there can be read and altered on its way; put a proxy "
                    "with TLS before a server that has none"
                )


def _files(read_from: Path | None, single: list[tuple[str, object]]) -> Iterator[tuple[str, Path]]:
    """The settings file, and all that it names; a profile of the site's own is a part of it."""
    if read_from is not None:
        yield "the settings file", read_from
    for name, value in single:
        if isinstance(value, Path):
            yield name, value
        elif isinstance(value, str) and name.endswith(".profile") and value not in profile_names():
            yield name, Path(value)


def _open_files(files: Iterable[tuple[str, Path]]) -> Iterator[str]:
    for name, file in files:
        if not _can_be_seen(file):
            continue  # whoever needs it says that it is not there, or another user's
        mode = file.stat().st_mode
        if name.split(".")[-1] in SECRET_FILES and mode & stat.S_IRWXO:
            yield f"{name}: every user of this machine may use the file {file.name!r}: chmod o= it"
        elif mode & stat.S_IWOTH:
            yield f"{name}: every user of this machine may alter the file {file.name!r}: chmod o-w it"


def _can_be_seen(file: Path) -> bool:
    # Not Path's own `is_file`, which raises for a file in a folder that is closed to this user.
    return os.path.isfile(file)  # noqa: PTH113


def _open_database(address: str) -> Iterator[str]:
    try:
        url = make_url(address)
    except ArgumentError:
        return  # whoever opens it says so
    if url.get_backend_name() == "sqlite":
        file = Path(url.database or "")
        if _can_be_seen(file) and file.stat().st_mode & stat.S_IRWXO:
            yield f"database_url: every user of this machine may use the file {file.name!r}: chmod o= it"
    elif _is_in_clear(url):
        yield (
            f"database_url: what goes to {_server(url)} can be read on its way: add ?sslmode=verify-full, and "
            "&sslrootcert=FILE where no public authority has signed its certificate"
        )


def _is_in_clear(url: URL) -> bool:
    server = _server(url)
    return bool(server) and not is_this_machine(server) and url.query.get("sslmode") != "verify-full"


def _server(url: URL) -> str:
    """Where the driver connects to: what a query says of the host goes before the host itself."""
    said = url.query.get("host", url.host or "")
    return said if isinstance(said, str) else said[-1]


def _everywhere(networks: tuple[Network, ...]) -> Iterator[str]:
    if any(network.prefixlen == 0 for network in networks):
        yield "private_networks: a network of all addresses would allow connections to any of them: list those meant"


def _guessable(settings: Settings) -> Iterator[str]:
    secrets = {"operations": settings.operations.secret(), "pages": settings.pages.secret()}
    if secrets["pages"] is not None and secrets["pages"] == secrets["operations"]:
        yield "pages: whoever may read the metrics could sign links with the same secret: take another"
    for name, secret in secrets.items():
        if secret is not None and len(secret) < LEAST_SECRET:
            yield f"{name}: a secret of fewer than {LEAST_SECRET} characters can be guessed: openssl rand -hex 32"
