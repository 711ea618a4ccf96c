"""The guard before the hook routes: a call without a token of its EHR gets nothing, not even a reason."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from flask import Flask, Response, g, request

from cds.errors import CallerKeysUnread, CallerNotTrusted
from cds.trust.clients import ClientTrust
from fhir_mappings.access_events import WebCall

log = logging.getLogger(__name__)

GUARDED_BLUEPRINTS = ("cds_hooks", "feedback")
OPEN_ENDPOINT = "cds_hooks.announce"
"""Discovery says nothing that is not public."""


def register(
    app: Flask,
    trust: ClientTrust | None,
    public_url: str,
    now: Callable[[], datetime],
    note_refusal: Callable[[WebCall, str], object] = lambda _call, _why: None,
) -> None:
    """Have every hook call and feedback prove whose it is. Without `trust` any call is let through.

    `public_url` is the address that EHRs call, without `/cds-services`: their tokens are for it and the path.
    `note_refusal` is told of each call that was refused, and why.
    """
    if trust is None:
        return

    def guard() -> Response | None:
        if not _is_guarded():
            return None
        # Never the Host header: who forges a call writes that as well.
        audience = public_url.rstrip("/") + request.path
        try:
            g.verified_call = trust.verify(request.headers.get("Authorization"), audience, now())
        except CallerNotTrusted as error:
            log.warning("a call was refused: %s%s", error.reason, f", of {error.issuer}" if error.issuer else "")
            note_refusal(_call(), error.reason)
            return _bare(error.http_status)
        except CallerKeysUnread as error:
            log.warning("a call could not be told from a forged one: %s", error)
            return _bare(error.http_status)
        return None

    app.before_request(guard)


def verified_ehr() -> str | None:
    """The name of the EHR whose call this is, as its token proves; None where trust is off."""
    verified = g.get("verified_call")
    return verified.ehr if verified else None


def _is_guarded() -> bool:
    # A browser sends no token with the question whether it may call.
    return request.method != "OPTIONS" and request.blueprint in GUARDED_BLUEPRINTS and request.endpoint != OPEN_ENDPOINT


def _call() -> WebCall:
    # The route, not the path: whoever is refused may write anything there.
    return WebCall(request.url_rule.rule if request.url_rule else "", request.remote_addr)


def _bare(status: HTTPStatus) -> Response:
    response = Response(status=status)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
