"""What browsers are told: which pages' scripts may call, and what may be done with an answer."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, request

from cds.errors import UntrustedServer
from cds.origins import listed

PREFLIGHT_KEPT_S = 600
"""How long a browser need not ask again whether a script may call."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def register(app: Flask, allowed_origins: Sequence[str], public_url: str) -> None:
    """Set the headers of every response, of refusals too: without them a script cannot even read why it was refused.

    `allowed_origins` are those of the pages whose scripts may call, such as `https://ehr.example.org`; a script
    brings its own token and no cookies, so credentials are not allowed.
    """
    headers = dict(SECURITY_HEADERS)
    if public_url.lower().startswith("https://"):
        headers["Strict-Transport-Security"] = "max-age=31536000"

    @app.after_request
    def tell(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        # Also where no origin is allowed or given: a cache must not hand one origin's answer to another.
        response.vary.add("Origin")
        asking = request.headers.get("Origin")
        if asking is not None and _is_listed(asking, allowed_origins):
            response.headers.update(_leave(asking))
        return response


def _is_listed(asking: str, allowed_origins: Sequence[str]) -> bool:
    try:
        return bool(listed(asking, allowed_origins))
    except UntrustedServer:
        return False


def _leave(asking: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": asking,
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Expose-Headers": "Retry-After",
        "Access-Control-Max-Age": str(PREFLIGHT_KEPT_S),
    }
