"""Below which path browsers find the service, and that its routes do not depend on it."""

from __future__ import annotations

import pytest
from flask import Flask, url_for

from cds.web import public_path


def linking(public_url: str) -> Flask:
    """An application with one route, which tells where it is found."""
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/here", "here", lambda: url_for("here"))
    public_path.register(app, public_url)
    return app


@pytest.mark.parametrize(
    ("public_url", "link"),
    [
        ("https://cds.example/mammotrend", "/mammotrend/here"),
        ("https://cds.example/mammotrend/", "/mammotrend/here"),
        ("https://cds.example/a/b", "/a/b/here"),
        ("https://cds.example", "/here"),
        ("https://cds.example/", "/here"),
        ("", "/here"),
    ],
)
def test_what_is_linked_lies_below_the_path_of_the_public_address(public_url: str, link: str) -> None:
    asking = linking(public_url).test_client()

    assert asking.get("/here").text == link


def test_no_header_of_a_call_moves_it() -> None:
    headers = {"X-Forwarded-Prefix": "/evil", "X-Script-Name": "/evil", "Script-Name": "/evil"}

    assert linking("").test_client().get("/here", headers=headers).text == "/here"
    assert linking("https://cds.example/a").test_client().get("/here", headers=headers).text == "/a/here"
