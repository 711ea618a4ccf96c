from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import jpeg2000
from model.jpeg2000 import MOST, Pieces

ROWS, COLUMNS = 96, 80
TILE_PART = b"\xff\x90"
BY_RESOLUTION = 1


def stream(**options: Any) -> bytes:
    stored = np.random.default_rng(5).integers(0, 4096, (ROWS, COLUMNS), dtype=np.uint16)
    return bytes(imagecodecs.htj2k_encode(stored, reversible=True, **options))


def with_segment(frame: bytes, marker: int, *parameters: int) -> bytes:
    """The codestream with one more segment behind its SIZ."""
    place = 4 + int.from_bytes(frame[4:6], "big")
    return frame[:place] + segment(marker, *parameters) + frame[place:]


def segment(marker: int, *parameters: int) -> bytes:
    return marker.to_bytes(2, "big") + (2 + len(parameters)).to_bytes(2, "big") + bytes(parameters)


def coding_style(
    *, flags: int = 0, layers: int = 1, levels: int = 1, block: int = 4, sizes: tuple[int, ...] = ()
) -> Any:
    return (flags, 0, *layers.to_bytes(2, "big"), 0, levels, block, block, 0, 1, *sizes)


def with_length(part: bytes, length: int) -> bytes:
    return part[:6] + length.to_bytes(4, "big") + part[10:]


def tile_parts(frame: bytes) -> tuple[bytes, list[bytes]]:
    """The main header, and the tile-parts without what ends the codestream."""
    start = place = frame.index(TILE_PART)
    parts = []
    while frame[place : place + 2] == TILE_PART:
        length = int.from_bytes(frame[place + 6 : place + 10], "big")
        parts.append(frame[place : place + length])
        place += length
    return frame[:start], parts


@pytest.mark.parametrize(
    "options", [{}, {"tile": (32, 32)}, {"tile": (40, 96), "tlm": True}, {"tilepart": BY_RESOLUTION}]
)
def test_a_codestream_is_whole_until_something_of_its_tiles_is_gone(options: dict[str, Any]) -> None:
    frame = stream(**options)
    assert jpeg2000.size(frame) == (ROWS, COLUMNS)
    assert jpeg2000.is_whole(frame)
    assert jpeg2000.is_whole(frame + b"\0")  # DICOM frames are padded to an even length
    assert jpeg2000.is_whole(frame[:-2])  # some encoders leave out the marker of the end
    for cut in (3, 100, len(frame) // 2, len(frame) - 60):
        assert not jpeg2000.is_whole(frame[:-cut])
        assert not jpeg2000.is_whole(frame[: -cut - 2] + b"\xff\xd9")


@pytest.mark.parametrize("which", [0, 4, 8])
def test_a_codestream_without_one_of_its_tiles_is_not_whole(which: int) -> None:
    header, parts = tile_parts(stream(tile=(32, 32)))
    assert len(parts) == 9
    assert jpeg2000.is_whole(header + b"".join(parts))
    del parts[which]
    assert not jpeg2000.is_whole(header + b"".join(parts))


def test_a_codestream_without_all_parts_that_a_tile_says_it_has_is_not_whole() -> None:
    header, parts = tile_parts(stream(tilepart=BY_RESOLUTION))
    assert len(parts) > 3
    for kept in range(1, len(parts)):
        assert not jpeg2000.is_whole(header + b"".join(parts[:kept]))


def test_the_last_tile_part_may_leave_its_length_open() -> None:
    header, parts = tile_parts(stream(tile=(32, 32)))
    parts[-1] = with_length(parts[-1], 0)
    assert jpeg2000.is_whole(header + b"".join(parts) + b"\xff\xd9")


@given(st.binary(max_size=120).map(lambda tail: jpeg2000.START + tail))
def test_any_bytes_behind_the_start_are_read_without_a_crash(frame: bytes) -> None:
    assert jpeg2000.is_whole(frame) in (True, False)
    assert jpeg2000.is_too_fine(frame) in (True, False)


def test_the_codestream_is_found_behind_the_boxes_of_a_jp2_file() -> None:
    frame = stream()
    assert jpeg2000.codestream(b"box before it" + frame) == frame
    assert jpeg2000.codestream(b"no picture") == b""


def test_what_an_encoder_makes_is_not_too_fine() -> None:
    # Five times halved: 96 x 80, 48 x 40, 24 x 20, 12 x 10, 6 x 5 and 3 x 3 in blocks of 64 x 64.
    found = jpeg2000.pieces_of(stream())
    assert found == Pieces(tiles=1, precincts=6, code_blocks=2 * 2 + 5, packets=6)
    assert not jpeg2000.is_too_fine(stream())


@pytest.mark.parametrize("in_a_tile", [False, True])
@pytest.mark.parametrize(
    ("marker", "parameters"),
    [
        (jpeg2000.CODING_STYLE, coding_style(flags=1, sizes=(0x33, 0x45))),
        (jpeg2000.STYLE_OF_COMPONENT, (0, 1, 1, 4, 4, 0, 1, 0x33, 0x45)),
    ],
    ids=["of all components", "of one component"],
)
def test_precincts_are_counted_over_all_resolutions(marker: int, parameters: tuple[int, ...], in_a_tile: bool) -> None:
    frame = stream()
    if in_a_tile:
        place = frame.index(TILE_PART) + jpeg2000.TILE_PART_LENGTH
        frame = frame[:place] + segment(marker, *parameters) + frame[place:]
    else:
        frame = with_segment(frame, marker, *parameters)
    # 48 x 40 in 8 x 8, and 96 x 80 in 16 rows x 32 columns
    assert jpeg2000.pieces_of(frame).precincts == 6 * 5 + 6 * 3


def test_each_resolution_of_each_tile_is_a_precinct_at_least() -> None:
    frame = with_segment(stream(tile=(32, 32)), jpeg2000.CODING_STYLE, *coding_style(layers=7, levels=5))
    found = jpeg2000.pieces_of(frame)
    assert (found.tiles, found.precincts, found.packets) == (9, 9 * 6, 9 * 6 * 7)


def test_packets_are_a_precinct_s_for_each_layer() -> None:
    found = jpeg2000.pieces_of(with_segment(stream(), jpeg2000.CODING_STYLE, *coding_style(layers=500, levels=1)))
    assert found.packets == 500 * found.precincts == 500 * 6


def test_code_blocks_are_counted_over_all_resolutions() -> None:
    found = jpeg2000.pieces_of(with_segment(stream(), jpeg2000.CODING_STYLE, *coding_style(levels=1, block=0)))
    assert found.code_blocks == 24 * 20 + 12 * 10


def claiming(rows: int, columns: int, tile: int = 0) -> bytes:
    """The codestream as if it were of that size, and cut into square tiles."""
    frame = bytearray(stream())
    width, height = (tile, tile) if tile else (columns, rows)
    for place, number in ((8, columns), (12, rows), (24, width), (28, height)):
        frame[place : place + 4] = number.to_bytes(4, "big")
    return bytes(frame)


@pytest.mark.parametrize(
    ("frame", "more_than"),
    [
        (claiming(6000, 4700, tile=45), {"tiles"}),
        (
            with_segment(claiming(6000, 4700), jpeg2000.CODING_STYLE, *coding_style(flags=1, levels=0, sizes=(0x33,))),
            {"precincts"},
        ),
        (with_segment(claiming(6000, 4700), jpeg2000.CODING_STYLE, *coding_style(block=0)), {"code_blocks"}),
        (
            with_segment(stream(), jpeg2000.CODING_STYLE, *coding_style(flags=1, layers=65535, sizes=(0x33, 0x33))),
            {"packets"},
        ),
    ],
    ids=["tiles", "precincts", "code-blocks", "packets"],
)
def test_more_pieces_than_any_encoder_makes_are_too_fine(frame: bytes, more_than: set[str]) -> None:
    found = jpeg2000.pieces_of(frame)
    assert {kind for kind in vars(MOST) if getattr(found, kind) > getattr(MOST, kind)} == more_than
    assert jpeg2000.is_too_fine(frame)


@pytest.mark.parametrize("tile", [64, 128, 0])
def test_the_largest_detector_finely_cut_is_not_too_fine(tile: int) -> None:
    style = coding_style(flags=1, layers=20, levels=5, block=2, sizes=(0x77,) * 6)
    frame = with_segment(claiming(6000, 4700, tile), jpeg2000.CODING_STYLE, *style)
    assert not jpeg2000.is_too_fine(frame)


def test_a_tile_part_s_header_is_read_to_its_own_end_and_no_further() -> None:
    # Else many short ones that lead to one long chain of segments would each have it read to the end.
    header, _ = tile_parts(stream())
    style = segment(jpeg2000.CODING_STYLE, *coding_style(layers=500))
    leads_on = TILE_PART + b"\0\x0a\0\0" + (16).to_bytes(4, "big") + b"\0\0" + segment(0xFF64)
    within = with_length(leads_on, len(leads_on) + len(style))
    assert jpeg2000.pieces_of(header + within + style).packets > jpeg2000.pieces_of(header).packets
    assert jpeg2000.pieces_of(header + leads_on + style) == jpeg2000.pieces_of(header)
