"""The app factory: read it as the table of contents of the web service."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import Flask

from cds.services import WebServices
from cds.web import browsers, cds_hooks, errors, feedback, health, limits, metrics, trust
from cds.web.limits import FrontLimits
from cds.web.metrics import Monitors
from cds.web.refused_callers import RefusedCallers


@dataclass(frozen=True)
class Front:
    """Who may call from a browser's page, how much of anything is taken in, and who may read what is counted."""

    allowed_origins: tuple[str, ...] = ()
    limits: FrontLimits = field(default_factory=FrontLimits)
    monitors: Monitors | None = None


def create_app(services: WebServices, front: Front | None = None) -> Flask:
    """The CDS service as a WSGI application."""
    front = front or Front()
    app = Flask(__name__, static_folder=None)
    # With two slashes for one a path is another one, not worth a redirect that repeats what was asked.
    app.url_map.merge_slashes = False
    app.extensions["mammotrend"] = services
    # First, so that the time of all that follows counts.
    metrics.register(app, front.monitors, services.collectors)
    app.register_blueprint(cds_hooks.routes)
    app.register_blueprint(feedback.routes)
    app.register_blueprint(health.routes)
    errors.register(app)
    browsers.register(app, front.allowed_origins, services.public_url)
    # From what costs least to what costs most: size, whose call it is, how often that caller calls, a place to work.
    limits.register_size(app, front.limits)
    refused = RefusedCallers(services.trail, services.now, services.monotonic_s)
    trust.register(app, services.trust, services.public_url, services.now, refused.note)
    limits.register_pace(app, front.limits, services.monotonic_s)
    return app
