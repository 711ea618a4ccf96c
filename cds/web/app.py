"""The app factory: read it as the table of contents of the web service."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import Flask

from cds.operations.store_metrics import StoreMetrics
from cds.pages import operations_page
from cds.services import WebServices
from cds.web import browsers, cds_hooks, errors, feedback, health, limits, metrics, public_path, trust
from cds.web.limits import FrontLimits
from cds.web.monitors import Monitors
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
    public_path.register(app, services.public_url)
    # First, so that the time of all that follows counts.
    metrics.register(app, front.monitors, [StoreMetrics(services.operations)])
    app.register_blueprint(cds_hooks.routes)
    app.register_blueprint(feedback.routes)
    health.register(app, services.lookout, front.monitors)
    if front.monitors is not None:
        operations_page.register(app, services.operations, services.lookout, front.monitors)
    errors.register(app)
    browsers.register(app, front.allowed_origins, services.public_url)
    # From what costs least to what costs most: size, whose call it is, how often that caller calls, a place to work.
    limits.register_size(app, front.limits)
    refused = RefusedCallers(services.trail, services.now, services.monotonic_s)
    trust.register(app, services.trust, services.public_url, services.now, refused.note)
    limits.register_pace(app, front.limits, services.monotonic_s)
    if services.pages is not None:
        # Only here: it loads the plotting library, which a site without pages need not have in memory.
        from cds.pages import attributes_page, trajectory_page
        from cds.pages.card_page import CardPage
        from cds.pages.smart import launches

        cards = CardPage(services, services.pages, refused.note)
        trajectory_page.register(app, cards, services.pages.links)
        attributes_page.register(app, services.pages.attributes, services.pages.frame_ancestors)
        if any(ehr.smart for ehr in services.ehrs):
            launches.register(app, cards, services, services.pages)
    return app
