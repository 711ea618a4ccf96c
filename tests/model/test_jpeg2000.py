from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import jpeg2000
from model.codestreams import described

ROWS, COLUMNS = 96, 80


def stored() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 4096, (ROWS, COLUMNS), dtype=np.uint16)


def stream(**options: Any) -> bytes:
    return bytes(imagecodecs.htj2k_encode(stored(), reversible=True, **options))


def with_style(frame: bytes, marker: int, *parameters: int) -> bytes:
    """The codestream with one more coding style behind its SIZ."""
    segment = bytes(parameters)
    place = 4 + int.from_bytes(frame[4:6], "big")
    return frame[:place] + marker.to_bytes(2, "big") + (2 + len(segment)).to_bytes(2, "big") + segment + frame[place:]


@pytest.mark.parametrize("options", [{}, {"tile": (32, 32)}, {"tile": (40, 96), "tlm": True}])
def test_a_codestream_is_whole_until_its_last_byte_is_gone(options: dict[str, Any]) -> None:
    frame = stream(**options)
    assert jpeg2000.size(frame) == (ROWS, COLUMNS)
    assert jpeg2000.is_whole(frame)
    assert jpeg2000.is_whole(frame + b"\0")  # DICOM frames are padded to an even length
    for cut in (1, 2, 3, 100, len(frame) // 2, len(frame) - 60):
        assert not jpeg2000.is_whole(frame[:-cut])
        assert not jpeg2000.is_whole(frame[: -cut - 2] + b"\xff\xd9")


def test_only_a_codestream_of_the_wavelet_of_whole_numbers_is_reversible() -> None:
    assert jpeg2000.is_reversible(stream(tile=(32, 32)))
    lossy = bytes(imagecodecs.htj2k_encode(stored(), reversible=False))
    assert not jpeg2000.is_reversible(lossy)
    assert not jpeg2000.is_reversible(with_style(stream(), jpeg2000.STYLE_OF_COMPONENT, 0, 0, 1, 4, 4, 0x40, 0))
    assert not jpeg2000.is_reversible(jpeg2000.START)


def test_a_codestream_without_one_of_its_tiles_is_not_whole() -> None:
    frame = stream(tile=(32, 32))
    first = frame.index(b"\xff\x90")
    length = int.from_bytes(frame[first + 6 : first + 10], "big")
    assert frame[first + length : first + length + 2] == b"\xff\x90"
    assert not jpeg2000.is_whole(frame[:first] + frame[first + length :])


@given(st.binary(max_size=80).map(lambda tail: jpeg2000.START + tail))
def test_any_bytes_behind_the_start_are_read_without_a_crash(frame: bytes) -> None:
    assert jpeg2000.is_whole(frame) in (True, False)
    assert jpeg2000.precincts(frame) >= 0


def test_the_codestream_is_found_behind_the_boxes_of_a_jp2_file() -> None:
    frame = stream()
    assert jpeg2000.codestream(b"box before it" + frame) == frame
    assert jpeg2000.codestream(b"no picture") == b""


def test_a_picture_that_no_coding_style_cuts_has_no_precincts() -> None:
    assert jpeg2000.precincts(stream()) == 0


@pytest.mark.parametrize(
    ("marker", "before"),
    [(jpeg2000.CODING_STYLE, (0x01, 0, 0, 1, 0)), (jpeg2000.STYLE_OF_COMPONENT, (0, 0x01))],
    ids=["of all components", "of one component"],
)
def test_precincts_are_counted_over_all_resolutions(marker: int, before: tuple[int, ...]) -> None:
    one_level, block, sizes = 1, (4, 4, 0, 1), (0x33, 0x45)
    frame = with_style(stream(), marker, *before, one_level, *block, *sizes)
    # 48 x 40 in 8 x 8, and 96 x 80 in 16 rows x 32 columns
    assert jpeg2000.precincts(frame) == 6 * 5 + 6 * 3
    found = described(frame)
    assert found is not None
    assert found.precincts == 48
