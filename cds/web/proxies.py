"""Who is connected where the site's own proxy stands before the service: the proxy's client, by that proxy's word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from flask import Flask

from cds.addresses import Network, meant

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def register(app: Flask, trusted: Sequence[Network]) -> None:
    """Take whom one of these proxies names last in X-Forwarded-For for the caller; anybody else's word is not heard."""
    inside = app.wsgi_app
    if not trusted:
        return

    def behind(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if _is_among(environ.get("REMOTE_ADDR", ""), trusted):
            # The last: what stands before it the client itself may have written.
            told = environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
            environ["REMOTE_ADDR"] = told if _is_address(told) else environ["REMOTE_ADDR"]
        return inside(environ, start_response)

    app.wsgi_app = behind  # type: ignore[method-assign] # Flask's own way to put something before the application


def _is_among(address: str, networks: Sequence[Network]) -> bool:
    return _is_address(address) and any(meant(address) in network for network in networks)


def _is_address(written: str) -> bool:
    try:
        ip_address(written)
    except ValueError:
        return False
    return "%" not in written
