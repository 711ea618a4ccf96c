"""Where a caller's public keys come from: its address, or a file that it handed over."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from cds.addresses import Destinations
from cds.deadline import InTimeAdapter, in_all
from cds.errors import CallerKeysUnread, UntrustedServer
from cds.origins import SameOriginSession, origin
from cds.trust.key_set import PublicKey, public_keys

LARGEST_SET_BYTES = 256 * 1024
"""A key set has a few keys of a kilobyte; with certificates in it, some more."""


def keys_at(
    url: str,
    verify: bool | str = True,
    destinations: Destinations | None = None,
    timeout_s: float = 5.0,
    clock_s: Callable[[], float] = time.monotonic,
) -> dict[str, PublicKey]:
    """The keys of the JWK Set at an address, by `kid`; raises CallerKeysUnread.

    `verify` is a file of CA certificates where the site has its own; `timeout_s` is for the whole answer.
    """
    server, ends = origin(url), clock_s() + timeout_s

    def in_time() -> None:
        if clock_s() > ends:
            raise CallerKeysUnread(f"the key set at {server} did not arrive within {timeout_s:g} s")

    with SameOriginSession(verify, destinations) as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, InTimeAdapter(in_time))
        try:
            return _parsed(_body(session, url, timeout_s), server)
        # Their own words would quote the whole address.
        except (requests.RequestException, HTTPError, UntrustedServer, OSError) as error:
            raise CallerKeysUnread(f"the key set at {server} cannot be fetched: {type(error).__name__}") from None


def keys_in(file: Path) -> dict[str, PublicKey]:
    """The keys of a JWK Set in a file, by `kid`; raises CallerKeysUnread."""
    try:
        with file.open("rb") as opened:
            return _parsed(opened.read(LARGEST_SET_BYTES + 1), repr(file.name))
    except OSError as error:
        raise CallerKeysUnread(f"the key set {file.name!r} cannot be read: {type(error).__name__}") from None


def _body(session: requests.Session, url: str, timeout_s: float) -> bytes:
    # Not packed: a few bytes could unpack to any size.
    headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
    # A redirect is not followed: the site has named this address and no other.
    with session.get(url, headers=headers, timeout=in_all(timeout_s), stream=True, allow_redirects=False) as response:
        if response.status_code != 200:
            raise CallerKeysUnread(f"the key set at {origin(url)} was answered with {response.status_code}")
        body: bytes = response.raw.read(LARGEST_SET_BYTES + 1, decode_content=False)
        return body


def _parsed(written: bytes, where: str) -> dict[str, PublicKey]:
    if len(written) > LARGEST_SET_BYTES:
        raise CallerKeysUnread(f"the key set at {where} has more than {LARGEST_SET_BYTES} bytes")
    try:
        return public_keys(written)
    except ValueError:
        raise CallerKeysUnread(f"what is at {where} is no JWK Set: an object with a list of keys") from None
