"""The page of a card for whoever has the card's signed link."""

from __future__ import annotations

from flask import Blueprint, Flask, Response

from cds.pages.card_page import NAME, CardPage
from cds.pages.links import PATH, CardLinks


def register(app: Flask, cards: CardPage, links: CardLinks) -> None:
    """The page and its style sheet."""
    routes = Blueprint(NAME, __name__, template_folder="templates", static_folder="static", static_url_path="/pages")

    @routes.get(f"{PATH}/<token>")
    def show(token: str) -> Response:
        """The scores over time of the one patient that the card of this link is about."""
        with cards.noted():
            card, ehr = cards.card(*links.opened(token))
            known = cards.known(card)
        with cards.places.taken():
            return cards.show(card, ehr, known)

    cards.dress(routes)
    app.register_blueprint(routes)
