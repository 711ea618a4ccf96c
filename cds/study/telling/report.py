"""What a study tells: tables as CSV, figures, and one HTML file that holds both and fetches nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cds.errors import StudyNotPossible
from cds.study.cohorts.flow import Flow
from cds.study.telling.small_cells import told
from cds.study.telling.summaries import Figure, Origin, Summary, remove_earlier, write_summary

PAGE: Final = "report.html"
_DIGITS: Final = "%.6g"
"""More would tell a woman's own score so exactly that it could be found again, and counts behind a share."""


@dataclass(frozen=True)
class Table:
    """One table; `name` is its file's, `note` says below it what must be known to read it."""

    name: str
    title: str
    frame: pd.DataFrame
    note: str = ""

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Each column with its kind: words, which stand to the left, or numbers."""
        return [
            (name, "words" if all(isinstance(value, str) for value in self.frame[name]) else "numbers")
            for name in self.frame.columns
        ]


@dataclass(frozen=True)
class Picture:
    """One figure as SVG from `cds.pages.drawing`, and in words what it shows."""

    title: str
    svg: str
    words: str


@dataclass(frozen=True)
class Report:
    """One study: what it found in a few sentences, its flow, and its tables and pictures in order.

    `figures` are its headline numbers by name, for who reads them with a program (`summary.json`); `files` is what else
    is written beside the page, by file name.
    """

    title: str
    sentences: tuple[str, ...]
    parts: tuple[Table | Picture, ...]
    flow: Flow
    figures: dict[str, Figure] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def write_report(report: Report, folder: Path, fewest: int, origin: Origin) -> Path:
    """Write report.html, summary.json and a CSV for each table into the folder; gives the page's path.

    What an earlier report left there goes, or its tables would be taken for this one's; other files stay. Counts in
    the flow of fewer than `fewest` women are not told; those of the tables are their study's to hide. Raises
    StudyNotPossible where it cannot be written.
    """
    tables = [part for part in report.parts if isinstance(part, Table)]
    texts = {f"{table.name}.csv": table.frame.to_csv(index=False, float_format=_DIGITS) for table in tables}
    texts |= {**report.files, PAGE: _html(report, fewest)}
    ready_folder(folder)
    try:
        remove_earlier(folder)
        write_summary(Summary(origin, report.figures), folder, tuple(texts))
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
    except OSError as e:
        raise StudyNotPossible(f"the report cannot be written ({type(e).__name__}); name another --output") from e
    return folder / PAGE


def ready_folder(folder: Path) -> None:
    """Make the folder, so that a study of hours does not end without a place; raises StudyNotPossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as e:
        raise StudyNotPossible(
            f"nothing can be written to the folder {folder.name!r} ({type(e).__name__}); name another --output"
        ) from e


def _html(report: Report, fewest: int) -> str:
    pages = Environment(
        loader=PackageLoader("cds.study.telling"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    pages.filters.update(told=told, shown=_shown)
    drawings = [part for part in report.parts if isinstance(part, Picture)]
    # Our own drawings, whose texts the library has escaped.
    svgs = {drawing.title: Markup(drawing.svg) for drawing in drawings}  # noqa: S704
    return pages.get_template("report.html").render(report=report, svgs=svgs, fewest=fewest)


def _shown(value: object) -> str:
    """A cell of a page: what is not known is a dash, and figures have as many digits as anybody reads."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
