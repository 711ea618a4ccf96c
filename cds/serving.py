"""The web service of a site, from its settings to its sockets."""

from __future__ import annotations

import logging
from threading import Event

from cds.server import Listening, serve
from cds.services import card_links, web_services
from cds.settings import ServiceSettings, Settings
from cds.web.app import Front, create_app
from cds.web.connections import ConnectionLimits
from cds.web.limits import FrontLimits
from cds.web.monitors import Monitors

log = logging.getLogger(__name__)


def serve_site(settings: Settings, stop: Event) -> None:
    """Answer until `stop` is set; raises SettingsError for what is not safe or cannot be."""
    service = settings.service
    limits = FrontLimits(calls_per_minute=service.calls_per_minute, calls_at_work=service.threads)
    is_demonstration = service.trust == "demo"
    front = Front(service.allowed_origins, limits, _monitors(settings), service.trusted_proxies, is_demonstration)
    each = ConnectionLimits(
        threads=limits.threads,
        largest_request_bytes=limits.largest_request_bytes,
        slow_client_s=service.slow_client_s,
    )
    listening = Listening(service.host, service.port, service.processes, each)

    def announce(port: int) -> None:
        modes = ", ".join(f"{ehr.name} is {ehr.mode}" for ehr in settings.ehrs)
        log.info("listening on %s, port %d; %s", service.host, port, modes)

    links = card_links(settings, _loopback_address(service))
    serve(lambda: create_app(web_services(settings, links=links), front), listening, stop, announce)


def _loopback_address(service: ServiceSettings) -> str | None:
    """Where a demonstration is reached; None for any other site, and for a port that is not chosen yet."""
    if service.trust != "demo" or not service.port:
        return None
    host = f"[{service.host}]" if ":" in service.host else service.host
    return f"http://{host}:{service.port}"


def _monitors(settings: Settings) -> Monitors | None:
    """Those who have the site's secret; in a demonstration, which is on loopback, anybody; else nobody."""
    secret = settings.operations.secret()
    return Monitors(secret) if secret is not None or settings.service.trust == "demo" else None
