"""The three steps of a launch by an EHR: sent to it, come back with its code, and on to the page without it.

The page has no token in its address: a cookie opens it, for the one card that its path names, so that two charts that
are open at once cannot be taken for each other.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from urllib.parse import urlsplit

from flask import Blueprint, Flask, redirect, render_template, request
from werkzeug import Response

from cds.errors import LaunchRefused, UntrustedServer
from cds.origins import listed
from cds.pages.card_page import LONGEST_WAIT_S, CardPage, html
from cds.pages.links import LAUNCH_PATH
from cds.pages.smart.banner import Banner, read_banner
from cds.pages.smart.client import Begun, Grant, SmartClient
from cds.pages.smart.seal import Seal
from cds.services import CallingEhr, Pages, WebServices
from cds.store.tables import ShownCard
from cds.web.limits import SPARE_THREADS, Places

CALLBACK_PATH = "/smart/callback"
PAGE_PATH = "/smart/page"
PAGE_COOKIE = "mammotrend-page"
ON_THE_WAY = timedelta(minutes=10)
"""How long a clinician may take to say to her EHR who she is."""
LONGEST_LAUNCH = 2048
LAUNCHED_AT_ONCE = SPARE_THREADS // 3
"""As many again wait. A launch waits for an EHR, which may be long, so it takes none of the places of pages."""
_STATE = re.compile(r"[A-Za-z0-9_-]{43}")
_ERRORS = ("access_denied", "invalid_request", "unauthorized_client", "invalid_scope", "server_error", "login_required")
"""The words of RFC 6749, section 4.1.2.1, and OpenID Connect that are repeated; what else an EHR says is not."""


class Launches:
    """The launches of a site; all that is remembered of one is sealed and in the browser."""

    def __init__(self, cards: CardPage, parts: WebServices, pages: Pages) -> None:
        self._cards, self._parts, self._pages = cards, parts, pages
        self._places = Places(LAUNCHED_AT_ONCE, LONGEST_WAIT_S, [ehr.name for ehr in parts.ehrs if ehr.smart])
        links = pages.links
        self._way = Seal(links.secret, "smart.launch", ON_THE_WAY, parts.now)
        self._page = Seal(links.secret, "smart.page", links.lifetime, parts.now)
        self._ehrs = {ehr.fhir_server: (ehr, ehr.smart) for ehr in parts.ehrs if ehr.smart}

    def begin(self, asked: Mapping[str, str]) -> Response:
        """Send the browser on to the EHR that it comes from."""
        ehr, client = self._launching(asked.get("iss", ""))
        launch = asked.get("launch", "")
        if not launch or len(launch) > LONGEST_LAUNCH:
            raise LaunchRefused("The EHR opened this page without saying for which launch.")
        begun = Begun(ehr.name, *(secrets.token_urlsafe(32) for _ in range(3)))
        with self._places.taken(ehr.name):
            response = redirect(client.authorization_url(launch, begun, self._redirect_uri))
        self._set(response, _cookie_of(begun.state), self._way.sealed(asdict(begun)), CALLBACK_PATH, ON_THE_WAY)
        return response

    def finish(self, answered: Mapping[str, str], kept: Mapping[str, str]) -> Response:
        """Take what the EHR grants, once, and send the browser on to the page."""
        begun = self._begun(answered.get("state", ""), kept)
        ehr, client = self._of(begun.ehr)
        if "error" in answered:
            word = answered["error"] if answered["error"] in _ERRORS else "no reason that is known"
            raise LaunchRefused(f"The EHR did not let this page be opened: {word}.")
        with self._places.taken(ehr.name):
            grant = client.grant(
                answered.get("code", ""), answered.get("iss"), begun, self._redirect_uri, self._parts.now()
            )
            card = self._card(grant, ehr)
            response = self._nothing(grant, ehr) if card is None else self._to_page(card, ehr, grant)
        self._set(response, _cookie_of(begun.state), "", CALLBACK_PATH, timedelta(0))
        return response

    def show(self, uuid: str, kept: Mapping[str, str]) -> Response:
        """The page of the card that the browser has a cookie for."""
        if PAGE_COOKIE not in kept:
            raise LaunchRefused("This page is opened from a chart of your EHR, and its time there may be over.")
        told = self._page.opened(kept[PAGE_COOKIE])
        card, ehr = self._cards.card(told["card"], told["ehr"])
        if (uuid, card.patient_id) != (told["card"], told["patient"]):
            raise LaunchRefused("This page is of another card than the one that your EHR opened.")
        banner = None if told["banner"] is None else Banner(**told["banner"])
        return self._cards.show(card, ehr, self._cards.known(card), told["user"], banner)

    def _launching(self, iss: str) -> tuple[CallingEhr, SmartClient]:
        try:
            return self._ehrs[listed(iss, self._ehrs)]
        except UntrustedServer as e:
            raise LaunchRefused("This page was opened for an EHR that this service does not know.") from e

    def _of(self, name: str) -> tuple[CallingEhr, SmartClient]:
        found = next((one for one in self._ehrs.values() if one[0].name == name), None)
        if found is None:
            raise LaunchRefused("This launch was begun for an EHR that this service does not know any more.")
        return found

    def _begun(self, state: str, kept: Mapping[str, str]) -> Begun:
        """The launch that is answered: begun here, in this browser, lately, and not answered yet."""
        sealed = kept.get(_cookie_of(state)) if _STATE.fullmatch(state) else None
        if sealed is None:
            raise LaunchRefused("This launch was not begun in this browser, or is over already.")
        begun = Begun(**self._way.opened(sealed))
        if begun.state != state:
            raise LaunchRefused("This launch was not begun in this browser, or is over already.")
        return begun

    def _card(self, grant: Grant, ehr: CallingEhr) -> ShownCard | None:
        """The card that the EHR was launched from, else the patient's newest; None where she has none."""
        if grant.card is None:
            return self._parts.cards.newest(ehr.name, grant.patient_id)
        card, _ = self._cards.card(grant.card, ehr.name)
        if card.patient_id != grant.patient_id:
            raise LaunchRefused("The card is of another patient than the one whose chart is open.")
        return card

    def _to_page(self, card: ShownCard, ehr: CallingEhr, grant: Grant) -> Response:
        banner = read_banner(ehr.open(grant.access_token), grant.patient_id) if grant.needs_banner else None
        told = {
            "card": card.uuid,
            "ehr": ehr.name,
            "patient": grant.patient_id,
            "user": grant.user_id,
            "banner": banner and asdict(banner),
        }
        path = f"{PAGE_PATH}/{card.uuid}"
        response = redirect(f"{self._pages.links.address}{path}", 303)
        self._set(response, PAGE_COOKIE, self._page.sealed(told), path, self._pages.links.lifetime)
        return response

    def _nothing(self, grant: Grant, ehr: CallingEhr) -> Response:
        self._cards.note_seen(ehr, grant.patient_id, grant.user_id)
        return html(render_template("no_card.html"))

    @property
    def _redirect_uri(self) -> str:
        return f"{self._pages.links.address}{CALLBACK_PATH}"

    def _set(self, response: Response, name: str, value: str, path: str, lifetime: timedelta) -> None:
        home = urlsplit(self._pages.links.address)
        is_secure = home.scheme == "https"
        # In an EHR's frame only a cookie that says None is sent, and with Partitioned only in that EHR's.
        is_framed = is_secure and bool(self._pages.frame_ancestors)
        response.set_cookie(
            name,
            value,
            max_age=lifetime,
            path=f"{home.path}{path}",
            secure=is_secure,
            httponly=True,
            samesite="None" if is_framed else "Lax",
            partitioned=is_framed,
        )


def _cookie_of(state: str) -> str:
    """One for each launch, so that two that are begun at once do not end each other."""
    return f"mammotrend-launch-{state}"


def register(app: Flask, cards: CardPage, parts: WebServices, pages: Pages) -> None:
    """The routes that an EHR is told, and the page that they lead to."""
    routes = Blueprint("smart", __name__)
    launches = Launches(cards, parts, pages)

    @routes.get(LAUNCH_PATH)
    def launch() -> Response:
        """Where the EHR opens us (SMART App Launch 2.2, EHR launch)."""
        with cards.noted():
            return launches.begin(request.args)

    @routes.get(CALLBACK_PATH)
    def callback() -> Response:
        """Where the EHR sends the browser back to."""
        with cards.noted():
            return launches.finish(request.args, request.cookies)

    @routes.get(f"{PAGE_PATH}/<uuid>")
    def show(uuid: str) -> Response:
        """The scores over time, for whom the EHR has launched it."""
        with cards.noted(), cards.places.taken():
            return launches.show(uuid, request.cookies)

    cards.dress(routes)
    app.register_blueprint(routes)
