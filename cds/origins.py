"""Which addresses are trusted: origins, allowlists, and HTTP sessions that never leave their origin."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http.cookiejar import DefaultCookiePolicy
from ipaddress import IPv6Address
from threading import Lock
from typing import Any
from urllib.parse import urljoin, urlsplit
from weakref import WeakSet

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import AuthBase

from cds.addresses import Destinations, pools
from cds.errors import UntrustedServer

_DEFAULT_PORTS = {"http": 80, "https": 443}
# A back slash above all: in `https://evil\@ehr.example` one reader takes it for the end of the host, another for a
# part of the user's name. A blank in a query is only sloppy.
_READ_IN_SEVERAL_WAYS = re.compile(r"[\x00-\x1f\x7f]|^[^?#]*[\\\s]")
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_.])?")


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
    the site has its own. A host that stands for an address outside `destinations` is an UntrustedServer, too.
    """

    def __init__(self, verify: bool | str = True, destinations: Destinations | None = None) -> None:
        self._pools = pools(destinations or Destinations())
        super().__init__()
        self.trust_env = False
        self.verify = verify
        self._answers: WeakSet[requests.Response] = WeakSet()
        self._lock = Lock()
        # A cookie would carry what one clinician may see into the next one's call.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def mount(self, prefix: str | bytes, adapter: BaseAdapter) -> None:
        """Use an adapter for addresses that begin so; whichever it is, its connections go to our destinations only."""
        if isinstance(adapter, HTTPAdapter):
            adapter.poolmanager.pool_classes_by_scheme = self._pools
        super().mount(prefix, adapter)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """The answer, as requests gives it; what is not read of it is let go at the session's end."""
        answer = super().send(request, **options)
        with self._lock:
            self._answers.add(answer)
        return answer

    def close(self) -> None:
        """End the connections; one whose answer is still held would stay open until the garbage is collected."""
        with self._lock:
            answers = list(self._answers)
        for answer in answers:
            answer.close()
        super().close()

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
    """Scheme, host and port of an address, such as `https://pacs.example:8443`: all of it that messages may show.

    Raises UntrustedServer for one that another reader could take for another server's.
    """
    try:
        if _READ_IN_SEVERAL_WAYS.search(url):
            raise ValueError("blanks or a back slash")
        parts = urlsplit(url)
        port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        if port == 0 or not parts.netloc.isascii():
            raise ValueError("readers differ in what they make of it")
        return f"{parts.scheme}://{_host(parts.hostname or '')}:{port}"
    except (ValueError, KeyError):
        raise UntrustedServer(
            "an address that is not http or https with a host, in ASCII, and a valid port was refused"
        ) from None


def _host(name: str) -> str:
    """A host as addresses write it; ValueError if it is none."""
    if ":" in name and "%" not in name:
        return f"[{IPv6Address(name)}]"
    if not _HOST_NAME.fullmatch(name):
        raise ValueError("no host")
    return name


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
