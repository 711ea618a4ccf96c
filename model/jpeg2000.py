"""How a JPEG 2000 codestream is put together, read before a decoder sees it. Source: ITU-T T.800 annex A."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

START: Final = b"\xff\x4f\xff\x51"
"""SOC, and the marker of SIZ that always follows it."""

SIZE: Final = 8
"""Where SIZ has eight numbers: right and bottom edge, left and top, width and height of a tile, where tiles begin."""

DEPTH: Final = 42
"""Where SIZ has the depth of the first component; its highest bit says that the values are signed."""

CODING_STYLE, STYLE_OF_COMPONENT = 0xFF52, 0xFF53
TILE_PART, DATA, END = 0xFF90, 0xFF93, 0xFFD9
REVERSIBLE: Final = 1
TILE_PART_LENGTH: Final = 12
"""Of the SOT segment itself; what belongs to the tile-part follows."""


def codestream(frame: bytes) -> bytes:
    """The codestream without the boxes of a JP2 file, which some units wrap it in; empty where there is none."""
    start = frame.find(START)
    return frame if start == 0 else frame[start:] if start > 0 else b""


def size(stream: bytes) -> tuple[int, int]:
    """Rows and columns that a codestream claims."""
    right, bottom, left, top, *_ = _size_numbers(stream)
    return bottom - top, right - left


def is_whole(stream: bytes) -> bool:
    """Whether the tile-parts reach to the codestream's end by their own lengths, and every tile is among them."""
    *parts, end = _tile_parts(stream)
    tiles = {_number(stream, part + 4, 2) for part in parts}
    return _number(stream, end, 2) == END and len(tiles) == _tiles_claimed(stream)


def is_reversible(stream: bytes) -> bool:
    """Whether all of it went through the wavelet of whole numbers, which nothing need be lost in."""
    return {_number(stream, parameters + 4, 1) for _, parameters in _styles(stream)} == {REVERSIBLE}


def precincts(stream: bytes) -> int:
    """The most parts that any coding style cuts the picture into; decoders keep something for each. 0: it is whole."""
    return max((_precincts(stream, *style) for style in _styles(stream)), default=0)


def as_signed(stream: bytes) -> bytes:
    """A codestream of unsigned values, read as one of signed: each is less by half of the range."""
    return stream[:DEPTH] + bytes([stream[DEPTH] | 0x80]) + stream[DEPTH + 1 :]


def is_signed(stream: bytes) -> bool:
    """Whether the values are signed by the codestream's own word."""
    return bool(stream[DEPTH] & 0x80)


def _styles(stream: bytes) -> Iterator[tuple[int, int]]:
    """Where each coding style, of the picture or of a tile, has its flags, and where its parameters."""
    for header in (2, *(part + TILE_PART_LENGTH for part in _tile_parts(stream))):
        for place in _segments(stream, header):
            marker = _number(stream, place, 2)
            if marker == CODING_STYLE:
                yield place + 4, place + 9
            elif marker == STYLE_OF_COMPONENT:
                yield place + 5, place + 6


def _precincts(stream: bytes, flags: int, parameters: int) -> int:
    if not _number(stream, flags, 1) & 1:
        return 0
    rows, columns = size(stream)
    levels = _number(stream, parameters, 1)
    exponents = stream[parameters + 5 : parameters + 6 + levels]
    return sum(
        -(-rows >> (levels - level + (one >> 4))) * -(-columns >> (levels - level + (one & 15)))
        for level, one in enumerate(exponents)
    )


def _tiles_claimed(stream: bytes) -> int:
    right, bottom, _, _, width, height, left, top = _size_numbers(stream)
    return -((left - right) // max(width, 1)) * -((top - bottom) // max(height, 1))


def _size_numbers(stream: bytes) -> list[int]:
    return [_number(stream, SIZE + 4 * index, 4) for index in range(8)]


def _tile_parts(stream: bytes) -> Iterator[int]:
    """Where each tile-part begins, and last where another one would."""
    place = 2
    for segment in _segments(stream, place):
        place = _after(stream, segment)
    yield place
    while _number(stream, place, 2) == TILE_PART:
        place += max(_number(stream, place + 6, 4), TILE_PART_LENGTH)
        yield place


def _segments(stream: bytes, place: int) -> Iterator[int]:
    """Where each segment of a main or tile-part header begins."""
    while (marker := _number(stream, place, 2)) > 0xFF00 and marker not in (TILE_PART, DATA, END):
        yield place
        place = _after(stream, place)


def _after(stream: bytes, segment: int) -> int:
    return segment + 2 + _number(stream, segment + 2, 2)


def _number(stream: bytes, place: int, size: int) -> int:
    """0 where the codestream is over."""
    return int.from_bytes(stream[place : place + size], "big")
