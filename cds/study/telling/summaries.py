"""The headline numbers of a study as a file, `summary.json`, with the model and the day that they are of."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, NoReturn

from cds.errors import StudyNotPossible

FILE_NAME: Final = "summary.json"
MOST_FOLDERS: Final = 500
_LARGEST_FILE: Final = 1 << 20
_FILES: Final = "files"
_OURS: Final = re.compile(r"[a-z_]+\.(csv|html|toml)")
"""What a report's files are called: no name in a summary that was edited leads out of its folder."""
_UNREADABLE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, halves of characters, and ends of lines and paragraphs."""
_DIRECTIONS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Unicode's Bidi_Control (UAX 9): they change in which order a text is read."""
Figure = float | int | str | None


@dataclass(frozen=True)
class Origin:
    """Which study it was, by its command, and when (UTC); `model` is the key of the version that made the scores.

    None where nobody said which that was. `source` is in words what was read, for the page; the summary leaves it out.
    """

    study: str
    model: str | None
    made_on: date
    source: str = ""
    is_simulated: bool = False


@dataclass(frozen=True)
class Summary:
    """What one study found."""

    origin: Origin
    figures: Mapping[str, Figure]


def is_plain(text: str) -> bool:
    """Whether a name reads as it is written: a line, whose no-break spaces and joiners are as a language has them."""
    return not any(one in _DIRECTIONS or unicodedata.category(one) in _UNREADABLE for one in text)


def write_summary(summary: Summary, folder: Path, beside: Sequence[str] = ()) -> None:
    """Write it, in place of an earlier one; `beside` are the names of the report's other files."""
    origin = summary.origin
    of = {"study": origin.study, "model": origin.model, "made_on": origin.made_on.isoformat()}
    said = json.dumps({**summary.figures, **of, _FILES: list(beside)}, indent=2, sort_keys=True, allow_nan=False)
    (folder / FILE_NAME).write_text(said + "\n", encoding="utf-8")


def written_earlier(folder: Path) -> frozenset[str]:
    """The names of the files that an earlier report wrote here, by its summary, with that; none where there is none."""
    try:
        said = json.loads((folder / FILE_NAME).read_bytes())
    except (FileNotFoundError, RecursionError, ValueError):
        return frozenset()
    if not isinstance(said, dict) or not {"study", "made_on"} <= said.keys():
        return frozenset()  # any program may write a file of that name
    names = said.get(_FILES)
    files = names if isinstance(names, list) else ()
    return frozenset({FILE_NAME, *(name for name in files if isinstance(name, str) and _OURS.fullmatch(name))})


def remove_earlier(folder: Path) -> None:
    """Remove what an earlier report wrote here, and no other file."""
    for name in written_earlier(folder):
        (folder / name).unlink(missing_ok=True)


def summaries_in(folder: Path) -> Iterator[tuple[str, Summary | str]]:
    """The summary in each folder below this one, by the folder's name, or what is wrong with it.

    Folders without one are passed over. Raises StudyNotPossible where the folders themselves cannot be listed.
    """
    try:
        below = sorted(one for one in folder.iterdir() if (one / FILE_NAME).is_file())
    except OSError as e:
        raise StudyNotPossible(
            f"the folder of studies cannot be read ({type(e).__name__}); check the setting operations.studies_folder"
        ) from e
    if len(below) > MOST_FOLDERS:
        raise StudyNotPossible(
            f"there are more than {MOST_FOLDERS} studies in the folder of studies; keep those in use"
        )
    for one in below:
        yield one.name, _summary(one / FILE_NAME)


def _summary(file: Path) -> Summary | str:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            return "too large for a summary"
        return _checked(json.loads(content, parse_constant=_refuse))
    except (ArithmeticError, OSError, RecursionError, TypeError, ValueError) as e:
        return f"cannot be read as the summary of a study ({type(e).__name__})"
    except KeyError as e:
        return f"does not say its {e.args[0]}: make the study again"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _checked(said: Any) -> Summary:
    if not isinstance(said, dict):
        raise TypeError("a summary is an object")
    study, model, made_on = said.pop("study"), said.pop("model"), date.fromisoformat(said.pop("made_on"))
    said.pop(_FILES, None)
    words = (study, model or "", *said, *(value for value in said.values() if isinstance(value, str)))
    # They go onto a page as they are, where a mark of direction would change what is read.
    if not all(isinstance(one, str) and is_plain(one) for one in words):
        raise TypeError("names and words are lines of text")
    return Summary(Origin(study, model, made_on), {name: _figure(value) for name, value in said.items()})


def _figure(value: Any) -> Figure:
    if value is not None and type(value) not in (int, float, str):
        raise TypeError("a figure is a number or a word")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a figure is finite")
    return value  # type: ignore[no-any-return] # its type is what was looked at
