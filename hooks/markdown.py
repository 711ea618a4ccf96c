"""GitHub-flavoured Markdown for a card's detail; whatever comes from outside passes through `escape` or `plain`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape as escape_html

_MOST_CHARACTERS = 240
# GitHub makes links of bare addresses, too: of hosts, and of words around an at sign, be it escaped or an entity.
_BEFORE_A_GAP = re.compile(r"(?i)www(?=\\*\.)|:(?=\\*/\\*/)|\](?=\()|@(?=\S)|&(?=#?\w+;)")
_REMEMBERED = 4096
"""Texts that need not be gone through again: names of devices, sentences of ours."""
_ANGLES = str.maketrans("<>", "  ")
_MARKUP = re.compile(r"([\\`*_\[\]()|~#!])")


@lru_cache(maxsize=_REMEMBERED)
def plain(text: str) -> str:
    """Text from outside as one line without control characters, direction overrides, angle brackets or links.

    Some clients put a summary into a page as it is, a chart may show a note as Markdown, and a device name may hold
    anything.
    """
    visible = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(visible.translate(_ANGLES).split())
    line = _BEFORE_A_GAP.sub(r"\g<0> ", line)
    return line if len(line) <= _MOST_CHARACTERS else line[: _MOST_CHARACTERS - 1] + "…"


@lru_cache(maxsize=_REMEMBERED)
def escape(text: str) -> str:
    """Text from outside that stays text in Markdown and in HTML, and never becomes a link or a table cell."""
    return escape_html(_MARKUP.sub(r"\\\1", plain(text)), quote=True)


def link(label: str, url: str) -> str:
    """A Markdown link; the label is escaped, the address must be absolute and without blanks."""
    return f"[{escape(label)}](<{url.replace('<', '%3C').replace('>', '%3E')}>)"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are escaped already."""
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def bullets(lines: Iterable[str]) -> str:
    """A list of lines that are escaped already."""
    return "\n".join(f"- {line}" for line in lines)


def paragraphs(blocks: Iterable[str]) -> str:
    """The blocks that say something, a blank line between them."""
    return "\n\n".join(block for block in blocks if block)
