"""The settings of those who watch the service."""

from __future__ import annotations

from pathlib import Path

from cds.operations.log_lines import LogFormat
from cds.settings.secret_values import KeptSecret


class OperationsSettings(KeptSecret):
    """Who may read `/metrics` and `/operations`, and what `/readyz` lacks: whoever brings the secret.

    A program brings it as a bearer token, a browser as the password of `operator`. Without one there are no such pages.
    """

    log_format: LogFormat = "text"
    """How `serve` and `worker` write their log."""
    studies_folder: Path | None = None
    """Below it a folder for each study of the site: what they found is told among the model's source attributes."""
