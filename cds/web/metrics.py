"""What a monitor reads of the service (Prometheus): how calls are answered, and what is in the store."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from flask import Blueprint, Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from cds.shared_counting import FOLDER_VARIABLE
from cds.web.monitors import Monitors

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""CDS Hooks asks for an answer in the order of half a second; an answer waits two for a score at most."""


def register(app: Flask, monitors: Monitors | None, others: Sequence[Collector]) -> None:
    """Count every call; and where there are `monitors`, let them read it at `/metrics`, with what `others` tell."""
    counted = CollectorRegistry()
    calls = Counter("mammotrend_calls", "Calls of the hook routes", ["route", "status"], registry=counted)
    seconds = Histogram("mammotrend_call_seconds", "How long they took", ["route"], buckets=SECONDS, registry=counted)

    @app.before_request
    def begin() -> None:
        g.began_s = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        # The route, not the path: a path is whatever a caller writes.
        route = request.url_rule.rule if request.url_rule else "none"
        calls.labels(route, str(response.status_code)).inc()
        seconds.labels(route).observe(time.perf_counter() - g.began_s)
        return response

    if monitors is not None:
        app.register_blueprint(_routes(monitors, counted, others))


def _routes(monitors: Monitors, counted: CollectorRegistry, others: Sequence[Collector]) -> Blueprint:
    routes = Blueprint("metrics", __name__)

    @routes.get("/metrics")
    def metrics() -> Response:
        """In the text format of Prometheus."""
        if not monitors.may_read(request.headers.get("Authorization", "")):
            return Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        beside = CollectorRegistry()
        for other in others:
            beside.register(other)
        told = generate_latest(_of_all_processes() or counted) + generate_latest(beside)
        return Response(told, content_type=CONTENT_TYPE_LATEST)

    return routes


def _of_all_processes() -> CollectorRegistry | None:
    if FOLDER_VARIABLE not in os.environ:
        return None
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call] # the library leaves it without types
    return together
