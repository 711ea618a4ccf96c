"""Which addresses are trusted: origins, allowlists, and HTTP sessions that never leave their origin."""

from __future__ import annotations

from collections.abc import Iterable
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase

from cds.errors import UntrustedServer

_DEFAULT_PORTS = {"http": 80, "https": 443}


class BearerToken(AuthBase):
    """An access token for requests; it never shows itself."""

    def __init__(self, token: str) -> None:
        # A token outside printable ASCII cannot travel in a header, and requests would quote it in its complaint.
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("the access token has characters that no Authorization header can carry")
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class SameOriginSession(requests.Session):
    """A session that follows redirects only within their origin, and takes nothing from the environment.

    The environment is left out because a `.netrc` entry for the host would replace the access token (requests,
    "Netrc Authentication"), and because a proxy is the site's decision. `verify` is a file of CA certificates where
    the site has its own.
    """

    def __init__(self, verify: bool | str = True) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = verify
        # A cookie would carry what one clinician may see into the next one's call.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def get_redirect_target(self, resp: Any) -> str | None:
        """Where a response sends us on to; UntrustedServer if that is another origin."""
        target: str | None = super().get_redirect_target(resp)
        if target is None or leads_home(resp.url, target):
            return target
        resp.close()  # nobody will read it
        raise UntrustedServer(
            f"{origin(resp.url)} sends us on to another server, which is not followed; "
            "configure the address that it redirects to"
        )


def origin(url: str) -> str:
    """Scheme, host and port of an address, such as `https://pacs.example:8443`: all of it that messages may show."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise UntrustedServer("an address that is not http or https with a valid port was refused") from None
    if not parts.hostname:
        raise UntrustedServer("an address without a host was refused")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses share scheme, host and port."""
    return origin(one) == origin(other)


def leads_home(url: str, link: str) -> bool:
    """Whether a link, found at `url` and relative to it, stays within its origin."""
    try:
        return same_origin(url, urljoin(url, link))
    except (ValueError, UntrustedServer):
        return False


def listed(url: str, allowed: Iterable[str]) -> str:
    """The entry of `allowed` that `url` is, whatever its case, default port or trailing slash; else UntrustedServer."""
    wanted = _normal(url)
    for entry in allowed:
        if _normal(entry) == wanted:
            return entry
    raise UntrustedServer(
        f"{origin(url)} at this path is not among the servers that the site allows; add it or refuse it"
    )


def _normal(url: str) -> tuple[str, str]:
    home = origin(url)  # first, because it refuses what cannot be split
    parts = urlsplit(url)
    # What is behind ? or # would change what the paths built onto a root mean.
    if parts.query or parts.fragment or parts.username is not None:
        raise UntrustedServer(f"{home} was given with a user, a query or a fragment; give the root alone")
    return home, parts.path.rstrip("/")
