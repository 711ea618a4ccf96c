"""What Chromium prints: a PDF sheet by sheet, as the instructions that draw it."""

from __future__ import annotations

import re
import zlib

from playwright.sync_api import Page

CURVE = re.compile(rb" c\n")
"""Only what is round needs one: of this service's pages the points of a plot and its key."""
WORDS = re.compile(rb"BT\n(.*?)ET", re.DOTALL)
LETTERS = re.compile(rb"<([0-9A-F]+)> Tj")


def sheets(page: Page, paper: str = "A4") -> list[bytes]:
    """The sheets that a page is printed on."""
    packed = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", page.pdf(format=paper), re.DOTALL)
    return [drawn for drawn in map(_unpacked, packed) if LETTERS.search(drawn)]


def curves(sheet: bytes) -> int:
    """How many curves are drawn on a sheet."""
    return len(CURVE.findall(sheet))


def on_every_sheet(printed: list[bytes]) -> set[int]:
    """How many letters the words have that are the same on all sheets; which letters is known to the font alone."""
    words = ({b"".join(LETTERS.findall(one)) for one in WORDS.findall(sheet)} for sheet in printed)
    return {len(one) // 4 for one in set.intersection(*words)}


def _unpacked(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:  # pictures and the like are packed otherwise
        return b""
