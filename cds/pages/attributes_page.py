"""The source attributes of the site's model as a page and as JSON, for anybody: nothing in them is about a patient."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from flask import Blueprint, Flask, Response, jsonify, render_template

from cds.attribute_sheet import NOT_AVAILABLE, AttributeSheet, as_json
from cds.operations.kept import Kept
from cds.pages.card_page import html, policy
from cds.web import errors
from model.source_attributes import REGULATION

PATH = "/attributes"
KEPT_S = 60.0


def register(app: Flask, sheet: Callable[[], AttributeSheet], frame_ancestors: tuple[str, ...]) -> None:
    """The page, and the same for programs; the files behind are read again after a minute."""
    routes = Blueprint("attributes", __name__, template_folder="templates")
    kept = Kept(sheet, KEPT_S)
    errors.register(routes, _problem)

    @routes.get(PATH)
    def page() -> Response:
        """What is told of each attribute, and from where it is known."""
        found = kept.get()
        return html(render_template("attributes.html", sheet=found, regulation=REGULATION, not_available=NOT_AVAILABLE))

    @routes.get(f"{PATH}.json")
    def as_data() -> Response:
        """The same as an object."""
        return jsonify(as_json(kept.get()))

    @routes.after_request
    def guarded(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy(frame_ancestors)
        return response

    app.register_blueprint(routes)


def _problem(status: HTTPStatus, words: str) -> Response:
    response = html(render_template("attributes_problem.html", words=f"{words[0].upper()}{words[1:]}"))
    response.status_code = status
    return response
