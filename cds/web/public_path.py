"""The path below which browsers find the service: that of its public address, which a proxy takes off."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def register(app: Flask, public_url: str) -> None:
    """Have what pages link to begin with the path of `public_url`; the routes stay as they are."""
    path, inside = urlsplit(public_url).path.rstrip("/"), app.wsgi_app
    if not path:
        return

    def below(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["SCRIPT_NAME"] = path
        return inside(environ, start_response)

    app.wsgi_app = below  # type: ignore[method-assign] # Flask's own way to put something before the application
