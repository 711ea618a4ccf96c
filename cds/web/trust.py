"""The guard before the hook routes: a call without a token of its EHR gets nothing, not even a reason."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, request

from cds.addresses import is_this_machine
from cds.errors import CallerKeysUnread, CallerNotTrusted
from cds.trust.clients import ClientTrust
from fhir_mappings.access_events import WebCall

log = logging.getLogger(__name__)

GUARDED_BLUEPRINTS = ("cds_hooks", "feedback")
OPEN_ENDPOINT = "cds_hooks.announce"
"""Discovery says nothing that is not public."""


NoteRefusal = Callable[[WebCall, str], object]
"""Told of each call that was refused, and why."""


def register(
    app: Flask,
    trust: ClientTrust | None,
    public_url: str,
    now: Callable[[], datetime],
    note_refusal: NoteRefusal = lambda _call, _why: None,
) -> None:
    """Have every hook call and feedback prove whose it is. Without `trust` any call is let through.

    `public_url` is the address that EHRs call, without `/cds-services`: their tokens are for it and the path.
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
            return _refused(error, note_refusal)
        except CallerKeysUnread as error:
            log.warning("a call could not be told from a forged one: %s", error)
            return _bare(error.http_status)
        return None

    app.before_request(guard)


def register_once(
    app: Flask,
    trust: ClientTrust | None,
    now: Callable[[], datetime],
    note_refusal: NoteRefusal = lambda _call, _why: None,
) -> None:
    """Have each token open one call alone.

    After all that sends a call away to come again later: its EHR may then send the same token once more.
    """

    def use_up() -> Response | None:
        verified = g.get("verified_call")
        if trust is None or verified is None:
            return None
        try:
            trust.use_up(verified, now())
        except CallerNotTrusted as error:
            return _refused(error, note_refusal)
        return None

    app.before_request(use_up)


def register_own_hosts(app: Flask, public_url: str) -> None:
    """Answer only who asks for this machine by a name of loopback, or for the host of `public_url`.

    For a demonstration, which answers anybody: a page of somebody's, whose name suddenly stands for this machine, could
    else have a browser ask for it (DNS rebinding).
    """

    def refuse_others() -> None:
        asked = request.headers.get("Host")
        if asked is not None and not _is_here(asked, public_url):
            abort(HTTPStatus.FORBIDDEN)

    app.before_request(refuse_others)


def verified_ehr() -> str | None:
    """The name of the EHR whose call this is, as its token proves; None where trust is off."""
    verified = g.get("verified_call")
    return verified.ehr if verified else None


def _is_here(asked: str, public_url: str) -> bool:
    try:
        host = urlsplit(f"//{asked}").hostname or ""
    except ValueError:
        return False
    return is_this_machine(host) or host == urlsplit(public_url).hostname


def _is_guarded() -> bool:
    # A browser sends no token with the question whether it may call.
    return request.method != "OPTIONS" and request.blueprint in GUARDED_BLUEPRINTS and request.endpoint != OPEN_ENDPOINT


def refused_call() -> WebCall:
    """The call that is refused, as the audit trail has it."""
    # The route, not the path: whoever is refused may write anything there.
    return WebCall(request.url_rule.rule if request.url_rule else "", request.remote_addr)


def _refused(error: CallerNotTrusted, note_refusal: NoteRefusal) -> Response:
    log.warning("a call was refused: %s%s", error.reason, f", of {error.issuer}" if error.issuer else "")
    note_refusal(refused_call(), error.reason)
    return _bare(error.http_status)


def _bare(status: HTTPStatus) -> Response:
    response = Response(status=status)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
