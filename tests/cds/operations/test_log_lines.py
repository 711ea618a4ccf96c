"""Log lines as JSON."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cds.errors import SettingsError
from cds.operations.log_lines import JsonLines
from cds.settings import read_settings
from tests.product import Product


def written(message: str, *arguments: object, fault: Exception | None = None) -> dict[str, Any]:
    """A line, which must be one, and what it says."""
    told = (type(fault), fault, fault.__traceback__) if fault else None
    record = logging.LogRecord("cds.nightly.night", logging.WARNING, "night.py", 7, message, arguments, told)
    record.created = 1779319800.25
    line = JsonLines().format(record)
    assert "\n" not in line
    read: dict[str, Any] = json.loads(line)
    return read


def test_a_line_says_when_how_grave_from_where_and_what() -> None:
    assert written("%s is %s", "main", "sîlent\nindeed") == {
        "at": "2026-05-20T23:30:00.250+00:00",
        "level": "WARNING",
        "logger": "cds.nightly.night",
        "message": "main is sîlent\nindeed",
    }


def test_of_a_fault_only_its_kind_is_told_because_its_words_may_name_a_patient() -> None:
    line = written("it broke", fault=ValueError("MRN-1"))

    assert line["fault"] == "ValueError"
    assert "MRN-1" not in str(line)


PROGRAM = """
import logging
from cds.commands.command_line import set_up_logging
from cds.operations.log_lines import write_log_as
set_up_logging("INFO")
logging.getLogger("cds").info("before")
write_log_as({form!r})
logging.getLogger("cds").info("after")
"""


def lines(form: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM.format(form=form)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - our own
    return ended.stderr.splitlines()


def test_the_form_holds_from_when_it_is_told() -> None:
    before, after = lines("json")
    assert before.endswith("INFO cds: before")
    assert json.loads(after)["message"] == "after"

    assert [line.rpartition(" ")[2] for line in lines("text")] == ["before", "after"]


SITE = """
database_url = "sqlite:///site.sqlite"
ehrs = [{name = "main", fhir_server = "http://127.0.0.1:9/fhir"}]
service = {trust = "demo", port = 0}
operations = {log_format = "json"}
"""


def test_a_site_that_wants_objects_gets_nothing_else(tmp_path: Path) -> None:
    product = Product(tmp_path)
    product.settings.write_text(SITE)
    with product.serving():
        pass

    (log,) = product.logs.values()
    read = [json.loads(line) for line in log.splitlines()]
    assert [line["level"] for line in read] == ["WARNING", "INFO"]
    assert read[-1]["message"].endswith("main is silent")


def test_another_form_is_refused_by_the_settings_name(tmp_path: Path) -> None:
    file = tmp_path / "mammotrend.toml"
    file.write_text('[operations]\nlog_format = "xml"\n')

    with pytest.raises(SettingsError, match=r"operations\.log_format"):
        read_settings(file)
