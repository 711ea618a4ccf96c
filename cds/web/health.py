"""Is the process alive."""

from __future__ import annotations

from flask import Blueprint

routes = Blueprint("health", __name__)


@routes.get("/healthz")
def healthz() -> dict[str, str]:
    """Answers as long as the process does; it looks at nothing else."""
    return {"status": "alive"}
