"""The app factory: read it as the table of contents of the web service."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import Flask

from cds.addresses import Network
from cds.operations.store_metrics import StoreMetrics
from cds.pages import operations_page
from cds.services import WebServices
from cds.web import browsers, cds_hooks, errors, feedback, health, limits, metrics, proxies, public_path, trust
from cds.web.limits import FrontLimits
from cds.web.monitors import Monitors
from cds.web.refused_callers import RefusedCallers


@dataclass(frozen=True)
class Front:
    """Who may call from a browser's page, how much of anything is taken in, and who may read what is counted.

    Of the `proxies` that stand before the service it is believed whose call they pass on. A demonstration answers
    only who asks for this machine by its own names.
    """

    allowed_origins: tuple[str, ...] = ()
    limits: FrontLimits = field(default_factory=FrontLimits)
    monitors: Monitors | None = None
    proxies: tuple[Network, ...] = ()
    is_demonstration: bool = False


def create_app(services: WebServices, front: Front | None = None) -> Flask:
    """The CDS service as a WSGI application."""
    front = front or Front()
    app = Flask(__name__, static_folder=None)
    # With two slashes for one a path is another one, not worth a redirect that repeats what was asked.
    app.url_map.merge_slashes = False
    app.extensions["mammotrend"] = services
    public_path.register(app, services.public_url)
    proxies.register(app, front.proxies)
    # First, so that the time of all that follows counts.
    metrics.register(app, front.monitors, [StoreMetrics(services.operations)])
    app.register_blueprint(cds_hooks.routes)
    app.register_blueprint(feedback.routes)
    health.register(app, services.lookout, front.monitors)
    if front.monitors is not None:
        operations_page.register(app, services.operations, services.lookout, front.monitors)
    errors.register(app)
    browsers.register(app, front.allowed_origins, services.public_url)
    if front.is_demonstration:
        trust.register_own_hosts(app, services.public_url)
    # From what costs least to what costs most: size, whose call it is, how often that caller calls, a place to work;
    # then its token is used up, which a call that is sent away to come again may bring once more.
    limits.register_size(app, front.limits)
    refused = RefusedCallers(services.trail, services.now, services.monotonic_s)
    app.extensions["mammotrend.refused"] = refused
    trust.register(app, services.trust, services.public_url, services.now, refused.note)
    limits.register_pace(app, front.limits, services.monotonic_s, [ehr.name for ehr in services.ehrs])
    trust.register_once(app, services.trust, services.now, refused.note)
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
