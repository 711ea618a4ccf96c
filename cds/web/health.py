"""Is the process alive, and can the service do its work."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Blueprint, Flask, Response, jsonify, request

from cds.operations.readiness import Lookout, Readiness
from cds.web.monitors import Monitors

routes = Blueprint("health", __name__)


@routes.get("/healthz")
def healthz() -> dict[str, str]:
    """Answers as long as the process does; it looks at nothing else."""
    return {"status": "alive"}


def register(app: Flask, lookout: Lookout, monitors: Monitors | None) -> None:
    """Both routes. Whether the service is ready anybody may know, what it lacks only `monitors`."""
    app.register_blueprint(routes)
    # Of its own: how often it is asked is limited, because it looks into the store.
    readiness = Blueprint("readiness", __name__)

    @readiness.get("/readyz")
    def readyz() -> Response:
        """Whether the store answers and a worker with the site's model is there."""
        found = lookout.look()
        may_know = monitors is not None and monitors.may_read(request.headers.get("Authorization", ""))
        answer = jsonify(_status(found) | (_details(found, lookout) if may_know else {}))
        answer.status_code = HTTPStatus.OK if found.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return answer

    app.register_blueprint(readiness)


def _status(found: Readiness) -> dict[str, Any]:
    return {"status": "ready" if found.is_ready else "not ready"}


def _details(found: Readiness, lookout: Lookout) -> dict[str, Any]:
    return {
        "store": "answers" if found.store else "does not answer",
        "model": "checked by a worker" if found.model else "no worker with this model has reported lately",
        "schedule": "a worker looks at the clock" if found.schedule else "no worker has reported lately",
        "outside": dict(lookout.outside()),
    }
