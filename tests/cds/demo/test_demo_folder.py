"""The demo keeps its files in a new folder only, and touches nothing that lies elsewhere."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from cds.demo.story import DemoFailed, run_demo


def test_a_folder_that_holds_something_is_refused_and_nothing_there_is_touched(tmp_path: Path) -> None:
    kept = tmp_path / "mammotrend.sqlite"
    kept.write_text("a site's exams")

    with pytest.raises(DemoFailed, match="is not empty; name a new one, or remove it first"):
        run_demo(Console(file=StringIO()), once=True, folder=tmp_path)

    assert ([*tmp_path.iterdir()], kept.read_text()) == ([kept], "a site's exams")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear colleague")

    with pytest.raises(DemoFailed, match="cannot be used"):
        run_demo(Console(file=StringIO()), once=True, folder=file)
