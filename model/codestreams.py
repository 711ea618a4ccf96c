"""What a compressed frame says of itself, read and checked before a decoder sees it.

Decoders believe these headers: they ask for the memory that is claimed, make up what is missing, and some of them
crash on an offset that points outside. Sources: ITU-T T.81 annex B (JPEG), T.87 annex C (JPEG-LS), DICOM PS3.5 annex G
(RLE); JPEG 2000 in `model.jpeg2000`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from model import jpeg2000
from model.errors import PicturesUnusable

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
JPEG_STANDALONE: Final = (0x01, *range(0xD0, 0xD9))
"""Markers without a length: they stand alone."""

JPEG_SCAN: Final = 0xDA
FRAME_HEADERS: Final = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
"""SOF0 to SOF15 and the SOF55 of JPEG-LS; DHT, JPG and DAC lie among them."""

RLE_HEADER: Final = struct.Struct("<16L")

RUNS_TO_CHECK: Final = 10_000
"""After the blank rows on top: some fifty rows of tissue. They take less than two milliseconds."""


@dataclass(frozen=True)
class Codestream:
    """Size of a compressed frame by its own word; `process` is the JPEG marker of how it was coded."""

    rows: int
    columns: int
    bits: int
    components: int = 1
    process: int = field(default=0, compare=False)


def described(frame: bytes) -> Codestream | None:
    """What the header of a JPEG, JPEG-LS or JPEG 2000 frame says; None where there is no such header."""
    try:
        return _jpeg(frame) if frame.startswith(JPEG_START) else _jpeg2000(jpeg2000.codestream(frame))
    except (IndexError, struct.error):
        return None  # it ran off the end, which is the same as not being there


def ends(frame: bytes) -> bool:
    """Whether the frame reaches to the marker that ends all of these formats; padding, zeros or ones, may follow."""
    return frame[-16:].rstrip(b"\0\xff").endswith(JPEG_END)


def jpeg_segments(frame: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of each segment of a JPEG's header, the last of them that of the scan."""
    place, marker = len(JPEG_START), 0
    while frame[place] == 0xFF and marker != JPEG_SCAN:
        marker = frame[place + 1]
        yield marker, place
        place += _segment_length(frame, place, marker)


def jpeg_data(frame: bytes) -> slice[int, int, None]:
    """Where a JPEG has its coded data: from the end of its header to the first mark of an end in it."""
    *_, (marker, place) = jpeg_segments(frame)
    start = place + _segment_length(frame, place, marker)
    return slice(start, frame.index(JPEG_END, start))


def _same_runs(segment: bytes, columns: int) -> tuple[int, int]:
    """How many runs at the beginning are the same again and again, and how long each is, if a row is some of them."""
    run = segment[:2]
    length = 257 - segment[0] if len(run) == 2 and segment[0] > 128 else 0
    if not length or columns % length:
        return 0, 0
    count = (len(segment) - len(segment.lstrip(run))) // 2  # of these two bytes, in any order
    return (count, length) if segment.startswith(run * count) else (0, 0)


def packs_rows(segment: bytes, columns: int) -> bool:
    """Whether a byte plane was packed row by row (PS3.5 G.3.1), as far as its first runs tell.

    By a wrong number of columns some run crosses the end of a row at once. All runs would take longer than decoding.
    """
    count, length = _same_runs(segment, columns)
    place, column = 2 * count, count * length % columns
    for _ in range(RUNS_TO_CHECK):
        if place >= len(segment):
            break
        control = segment[place]
        if control < 128:
            place, column = place + control + 2, column + control + 1
        elif control > 128:
            place, column = place + 2, column + 257 - control
        else:
            place += 1
        if column > columns:
            return False
        column %= columns
    return True


def rle_segments(frame: bytes, planes: int) -> list[bytes]:
    """The byte planes of an RLE frame, most significant first, still packed; raises PicturesUnusable."""
    if len(frame) < RLE_HEADER.size:
        raise PicturesUnusable("the pixels cannot be decoded: the compressed picture stops short")
    number, *offsets = RLE_HEADER.unpack_from(frame)
    if number != planes:
        raise PicturesUnusable(f"the pixels cannot be decoded: {number} byte planes, the header asks for {planes}")
    bounds = [*offsets[:planes], len(frame)]
    if bounds[0] != RLE_HEADER.size or any(end <= start for start, end in pairwise(bounds)):
        raise PicturesUnusable("the pixels cannot be decoded: byte planes lie outside of the compressed picture")
    return [frame[start:end] for start, end in pairwise(bounds)]


def _jpeg(frame: bytes) -> Codestream | None:
    for marker, place in jpeg_segments(frame):
        if marker in FRAME_HEADERS:
            bits, rows, columns, components = struct.unpack_from(">BHHB", frame, place + 4)
            return Codestream(rows, columns, bits, components, marker)
    return None


def _segment_length(frame: bytes, place: int, marker: int) -> int:
    if marker == 0xFF:  # fill byte
        return 1
    if marker in JPEG_STANDALONE:
        return 2
    return 2 + int(struct.unpack_from(">H", frame, place + 2)[0])


def _jpeg2000(codestream: bytes) -> Codestream:
    rows, columns = jpeg2000.size(codestream)
    components, depth = struct.unpack_from(">HB", codestream, jpeg2000.DEPTH - 2)
    return Codestream(rows, columns, (depth & 0x7F) + 1, components)
