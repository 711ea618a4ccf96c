"""The app factory: read it as the table of contents of the web service."""

from __future__ import annotations

from flask import Flask

from cds.services import WebServices
from cds.web import cds_hooks, errors, feedback, health

LARGEST_REQUEST_BYTES = 16 * 1024 * 1024
"""A hook call with a full prefetch is some hundred kilobytes."""


def create_app(services: WebServices) -> Flask:
    """The CDS service as a WSGI application."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_REQUEST_BYTES
    app.extensions["mammotrend"] = services
    app.register_blueprint(cds_hooks.routes)
    app.register_blueprint(feedback.routes)
    app.register_blueprint(health.routes)
    errors.register(app)
    return app
