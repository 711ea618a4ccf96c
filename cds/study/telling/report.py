"""What a study tells: tables as CSV, figures, and one HTML file that holds both and fetches nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cds.errors import StudyNotPossible
from cds.study.cohorts.flow import Flow
from cds.study.telling.small_cells import NOT_TOLD, told
from cds.study.telling.summaries import (
    FILE_NAME,
    Figure,
    Origin,
    Summary,
    remove_earlier,
    write_summary,
    written_earlier,
)

PAGE: Final = "report.html"
_DIGITS: Final = 6
"""More would tell counts behind a share; one woman's score still has them, so quantiles of scores have two decimals."""
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet runs."""
_COUNT: Final = re.compile(rf"{NOT_TOLD}|under \d+|\d+( of \d+)?")
"""A count in words, as those of `small_cells`."""


@dataclass(frozen=True)
class Table:
    """One table; `name` is its file's, `note` says below it what must be known to read it.

    On the page its figures have so many `decimals`; its file has more.
    """

    name: str
    title: str
    frame: pd.DataFrame
    note: str = ""
    decimals: int = 2

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Each column with its kind: words, which stand to the left, or numbers, of which some may be hidden."""
        return [(name, "words" if any(map(_is_word, self.frame[name])) else "numbers") for name in self.frame.columns]


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


def write_report(report: Report, folder: Path, fewest: int, origin: Origin, read: Sequence[Path] = ()) -> Path:
    """Write report.html, summary.json and a CSV for each table into the folder; gives the page's path.

    What an earlier report left there goes, or its tables would be taken for this one's; other files stay. Counts in
    the flow of fewer than `fewest` women are not told; those of the tables are their study's to hide. Raises
    StudyNotPossible where it cannot be written, or where a file would be replaced that no report wrote, or is in
    `read`: what the study was made of.
    """
    tables = [part for part in report.parts if isinstance(part, Table)]
    texts = {f"{table.name}.csv": table.frame.map(_cell).to_csv(index=False) for table in tables}
    texts |= {**report.files, PAGE: _html(report, fewest, origin)}
    ready_folder(folder, read, texts)
    try:
        remove_earlier(folder)
        figures = {name: _rounded(value) for name, value in report.figures.items()}
        write_summary(Summary(origin, figures), folder, tuple(texts))
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
    except OSError as e:
        raise StudyNotPossible(f"the report cannot be written ({type(e).__name__}); name another --output") from e
    return folder / PAGE


def ready_folder(folder: Path, read: Sequence[Path] = (), names: Iterable[str] = (PAGE,)) -> None:
    """Make the folder, so that a study of hours does not end without a place for the files of these names.

    Raises StudyNotPossible, also where one of them is there and not an earlier report's, or is among those read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
        earlier = written_earlier(folder)
    except OSError as e:
        raise StudyNotPossible(
            f"nothing can be written to the folder {folder.name!r} ({type(e).__name__}); name another --output"
        ) from e
    sources = {file.resolve() for file in read}
    for name in sorted({FILE_NAME, *names, *earlier}):
        if (folder / name).resolve() in sources or ((folder / name).exists() and name not in earlier):
            raise StudyNotPossible(
                f"{name!r} in the folder of --output is not an earlier report's, and this one would replace it; name "
                "another --output"
            )


def _cell(value: Any) -> Any:
    """A value as it stands in a CSV."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else _rounded(value)


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and not _COUNT.fullmatch(value)


def _html(report: Report, fewest: int, origin: Origin) -> str:
    pages = Environment(
        loader=PackageLoader("cds.study.telling"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    pages.filters.update(told=told, shown=_shown)
    drawings = [part for part in report.parts if isinstance(part, Picture)]
    # Our own drawings, whose texts the library has escaped.
    svgs = {drawing.title: Markup(drawing.svg) for drawing in drawings}  # noqa: S704
    program = f"MammoTrend {version('mammotrend')}"
    return pages.get_template("report.html").render(
        report=report, svgs=svgs, fewest=fewest, origin=origin, program=program
    )


def _shown(value: object, decimals: int) -> str:
    """A cell of a page: what is not known is a dash, and all figures of a table have so many decimals."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return "-"
    return f"{value:z.{decimals}f}" if isinstance(value, float) else str(value)
