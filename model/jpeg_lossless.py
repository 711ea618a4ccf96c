"""Whether a decoded JPEG Lossless picture is all that its scan holds, and no more. Source: ITU-T T.81 annex H.

The decoder makes up what is missing and tells nobody. But this format loses nothing: the pixels say how many bits they
took to write, and a scan of which a part is gone or was misread has another number of them. What only changed and left
that number as it was cannot be told: the format has no checksum.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.codestreams import FRAME_HEADERS, JPEG_SCAN, jpeg_data, jpeg_segments

HUFFMAN_TABLES, RESTART_INTERVAL = 0xC4, 0xDD

SIZES: Final = 17
"""A difference of size n is written as a code for n, and n bits that tell it from the others of its size."""

EXTRA_BITS: Final = np.array([*range(SIZES - 1), 0])
"""Of size 16 there is only one difference."""

PADDING: Final = 1
"""Bytes that may follow the last difference: an encoder may fill up a byte that was full."""

ROWS_AT_ONCE: Final = 16
"""They fit the CPU's cache."""

Samples = NDArray[np.integer]

PREDICTORS: Final[dict[int, Callable[[Samples, Samples, Samples], Samples]]] = {
    1: lambda left, above, corner: left,
    2: lambda left, above, corner: above,
    3: lambda left, above, corner: corner,
    4: lambda left, above, corner: left + above - corner,
    5: lambda left, above, corner: left + ((above - corner) >> 1),
    6: lambda left, above, corner: above + ((left - corner) >> 1),
    7: lambda left, above, corner: (left + above) >> 1,
}


@dataclass(frozen=True, eq=False)
class Scan:
    """How a scan is written; `interval` is the number of pixels between two restarts, 0 where there are none."""

    bits: int
    predictor: int
    shift: int
    interval: int
    code_lengths: NDArray[np.int64]
    """Bits of the code for each size, 0 where there is no code."""

    def height(self, pixels: Samples) -> int:
        """Rows between two restarts: they come at the end of a row."""
        return self.interval // int(pixels.shape[1]) or len(pixels)


def is_whole(frame: bytes, pixels: Samples) -> bool:
    """Whether the scan has as many bits as the pixels that were decoded from it take, shape (rows, columns)."""
    scan = _scan(frame)
    height = scan.height(pixels)
    intervals = [_sizes(pixels[top : top + height], scan) for top in range(0, len(pixels), height)]
    if any(sizes[scan.code_lengths == 0].any() for sizes in intervals):
        return False
    # Each interval is filled up to a whole byte; the number of a restart is one more.
    taken = sum(-(-int(sizes @ (scan.code_lengths + EXTRA_BITS)) // 8) + 1 for sizes in intervals) - 1
    return taken <= _data_bytes(frame) <= taken + PADDING


def _data_bytes(frame: bytes) -> int:
    """Bytes of the data but for each FF: a zero follows it where it is data, a number where it marks a restart."""
    data = jpeg_data(frame)
    return data.stop - data.start - frame.count(0xFF, data.start, data.stop)


def _scan(frame: bytes) -> Scan:
    bits = interval = place = 0
    tables: dict[int, NDArray[np.int64]] = {}
    for marker, place in jpeg_segments(frame):
        if marker == HUFFMAN_TABLES:
            tables.update(_tables(frame, place))
        elif marker == RESTART_INTERVAL:
            (interval,) = struct.unpack_from(">H", frame, place + 4)
        elif marker in FRAME_HEADERS:
            bits = frame[place + 4]
    mark, _, components, _, table, predictor, _, shift = struct.unpack_from(">HHBBBBBB", frame, place)
    if mark & 0xFF != JPEG_SCAN or components != 1:
        raise ValueError("no scan of one component")
    return Scan(bits, predictor, shift & 15, interval, tables[table >> 4])


def _tables(frame: bytes, place: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Number of each Huffman table of a segment, and the length of its code for each size."""
    end = place + 2 + int(struct.unpack_from(">H", frame, place + 2)[0])
    place += 4
    while place < end:
        of_length = np.repeat(np.arange(1, 17), list(frame[place + 1 : place + 17]))
        coded = list(frame[place + 17 : place + 17 + len(of_length)])
        lengths = np.zeros(256, dtype=np.int64)
        lengths[coded] = of_length
        yield frame[place], lengths[:SIZES]
        place += 17 + len(of_length)


def _sizes(interval: Samples, scan: Scan) -> NDArray[np.int64]:
    """How many differences are of each size."""
    at_least = np.zeros(SIZES + 1, dtype=np.int64)
    for differences in _differences(interval, scan):
        magnitude = np.abs(differences.astype(np.int16)).view(np.uint16)  # they are written modulo 65536
        at_least[0] += magnitude.size
        for size in range(1, SIZES):
            number = np.count_nonzero(magnitude >= 1 << (size - 1))
            if not number:
                break
            at_least[size] += number
    return at_least[:-1] - at_least[1:]


def _differences(interval: Samples, scan: Scan) -> Iterator[NDArray[Any]]:
    """Each pixel less what was predicted for it; some rows at a time."""
    yield np.diff(interval[0].astype(np.int32) >> scan.shift, prepend=1 << (scan.bits - scan.shift - 1))
    for top in range(1, len(interval), ROWS_AT_ONCE):
        rows = interval[top - 1 : top + ROWS_AT_ONCE].astype(np.int32) >> scan.shift
        differences = np.diff(rows, axis=0)  # the first of a row is predicted by the one above
        differences[:, 1:] = rows[1:, 1:] - PREDICTORS[scan.predictor](rows[1:, :-1], rows[:-1, 1:], rows[:-1, :-1])
        yield differences
