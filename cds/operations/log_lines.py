"""Log lines as JSON, one object a line, for whatever collects the logs of a site."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]


class JsonLines(logging.Formatter):
    """A record as an object: `at` (UTC), `level`, `logger`, `message`, and with a fault its kind.

    Nothing else of a fault: its words may quote what a call sent, and its traceback is longer than a line.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0]:
            line["fault"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False)


def write_log_as(form: LogFormat) -> None:
    """Have the lines of this process written in this form from now on; they are text until it is told."""
    if form == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())
