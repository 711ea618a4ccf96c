"""How a JPEG 2000 codestream is put together, read before a decoder sees it. Source: ITU-T T.800 annex A."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

START: Final = b"\xff\x4f\xff\x51"
"""SOC, and the marker of SIZ that always follows it."""

MAIN_HEADER: Final = 2
SIZE: Final = 8
"""Where SIZ has eight numbers: right and bottom edge, left and top, width and height of a tile, where tiles begin."""

DEPTH: Final = 42
"""Where SIZ has the depth of the first component."""

CODING_STYLE, STYLE_OF_COMPONENT = 0xFF52, 0xFF53
TILE_PART, DATA = 0xFF90, 0xFF93
TILE_PART_LENGTH: Final = 12
"""Of the SOT segment itself; what belongs to the tile-part follows."""


@dataclass(frozen=True)
class Pieces:
    """The most pieces of each kind that a picture is cut into; decoders keep something for each, or look for it."""

    tiles: int
    precincts: int
    code_blocks: int
    packets: int


MOST: Final = Pieces(tiles=10_000, precincts=100_000, code_blocks=1_000_000, packets=5_000_000)
"""A precinct takes OpenJPEG 1.6 kB, a code-block 0.3 kB, and a tile or five thousand packets half a millisecond.

The largest detector (4700 x 6000) in tiles of 64 x 64 has 7,000, in precincts of 32 x 32 it has 37,000.
"""


def codestream(frame: bytes) -> bytes:
    """The codestream without the boxes of a JP2 file, which some units wrap it in; empty where there is none."""
    start = frame.find(START)
    return frame if start == 0 else frame[start:] if start > 0 else b""


def size(stream: bytes) -> tuple[int, int]:
    """Rows and columns that a codestream claims."""
    right, bottom, left, top, *_ = _size_numbers(stream)
    return bottom - top, right - left


def is_whole(stream: bytes) -> bool:
    """Whether every tile is there, in as many parts as it says, and each to its end.

    Decoders make a blurred picture of what lacks the last of them.
    """
    found: dict[int, set[int]] = {}
    said: dict[int, int] = {}
    for part in _tile_parts(stream):
        if _end(stream, part) > len(stream):
            return False
        tile = _number(stream, part + 4, 2)
        found.setdefault(tile, set()).add(_number(stream, part + 10, 1))
        said[tile] = max(said.get(tile, 0), _number(stream, part + 11, 1))
    return len(found) == _tiles(stream) and all(found[tile] >= set(range(said[tile])) for tile in found)


def is_too_fine(stream: bytes) -> bool:
    """Whether it is cut into more pieces than any encoder would make, so that a decoder would take gigabytes."""
    pieces = pieces_of(stream)
    return (
        pieces.tiles > MOST.tiles
        or pieces.precincts > MOST.precincts
        or pieces.code_blocks > MOST.code_blocks
        or pieces.packets > MOST.packets
    )


def pieces_of(stream: bytes) -> Pieces:
    """By the finest of all coding styles, of the picture and of its tiles, as if it were that of the whole picture."""
    styles = list(_styles(stream))
    layers = max((style.layers for style in styles), default=1)
    precincts = max((_precincts(stream, style) for style in styles), default=1)
    blocks = max((_code_blocks(stream, style) for style in styles), default=1)
    return Pieces(_tiles(stream), precincts, blocks, precincts * layers)


@dataclass(frozen=True)
class _Style:
    """A COD or COC: where its parameters are, whether it sets the sizes of precincts, and how many layers it says."""

    parameters: int
    sets_precincts: bool
    layers: int


def _styles(stream: bytes) -> Iterator[_Style]:
    for place in _segments(stream, MAIN_HEADER, len(stream)):
        yield from _style(stream, place)
    for part in _tile_parts(stream):
        for place in _segments(stream, part + TILE_PART_LENGTH, _end(stream, part)):
            yield from _style(stream, place)


def _style(stream: bytes, place: int) -> Iterator[_Style]:
    marker = _number(stream, place, 2)
    if marker == CODING_STYLE:
        yield _Style(place + 9, bool(_number(stream, place + 4, 1) & 1), _number(stream, place + 6, 2))
    elif marker == STYLE_OF_COMPONENT:
        yield _Style(place + 6, bool(_number(stream, place + 5, 1) & 1), 1)


def _precincts(stream: bytes, style: _Style) -> int:
    levels = _levels(stream, style)
    sizes = stream[style.parameters + 5 : style.parameters + 6 + levels] if style.sets_precincts else b""
    cut = sum(_tiling(stream, levels - level, one >> 4, one & 15) for level, one in enumerate(sizes))
    return max(cut, _tiles(stream) * (levels + 1))  # at least one of each resolution of each tile


def _code_blocks(stream: bytes, style: _Style) -> int:
    width, height = (_number(stream, style.parameters + place, 1) & 15 for place in (1, 2))
    return sum(_tiling(stream, level, height + 2, width + 2) for level in range(_levels(stream, style) + 1))


def _levels(stream: bytes, style: _Style) -> int:
    """How often the picture is halved: 32 times at most."""
    return min(_number(stream, style.parameters, 1), 32)


def _tiling(stream: bytes, halved: int, rows_log2: int, columns_log2: int) -> int:
    """How many pieces of a size the picture is cut into after it was halved so often."""
    rows, columns = size(stream)
    return -(-rows >> (halved + rows_log2)) * -(-columns >> (halved + columns_log2))


def _tiles(stream: bytes) -> int:
    right, bottom, _, _, width, height, left, top = _size_numbers(stream)
    return -((left - right) // max(width, 1)) * -((top - bottom) // max(height, 1))


def _size_numbers(stream: bytes) -> list[int]:
    return [_number(stream, SIZE + 4 * index, 4) for index in range(8)]


def _tile_parts(stream: bytes) -> Iterator[int]:
    """Where each tile-part begins."""
    place = MAIN_HEADER
    for segment in _segments(stream, place, len(stream)):
        place = _after(stream, segment)
    while _number(stream, place, 2) == TILE_PART:
        yield place
        place = max(_end(stream, place), place + TILE_PART_LENGTH)


def _end(stream: bytes, part: int) -> int:
    """Where a tile-part ends; the last one may leave that open."""
    length = _number(stream, part + 6, 4)
    return part + length if length else len(stream)


def _segments(stream: bytes, place: int, end: int) -> Iterator[int]:
    """Where each segment of a main or tile-part header begins."""
    while place < end and (marker := _number(stream, place, 2)) > 0xFF00 and marker not in (TILE_PART, DATA):
        yield place
        place = _after(stream, place)


def _after(stream: bytes, segment: int) -> int:
    return segment + 2 + _number(stream, segment + 2, 2)


def _number(stream: bytes, place: int, size: int) -> int:
    """0 where the codestream is over."""
    return int.from_bytes(stream[place : place + size], "big")
