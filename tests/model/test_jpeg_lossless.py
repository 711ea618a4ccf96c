from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.codestreams import jpeg_data, jpeg_segments
from model.jpeg_lossless import is_whole


def tissue(rows: int = 96, columns: int = 80) -> np.ndarray:
    """Twelve bits whose neighbours differ by a little noise."""
    slope = np.add.outer(np.arange(rows), np.arange(columns)) * 8
    return np.clip(slope + np.random.default_rng(1).integers(-9, 9, (rows, columns)), 0, 4095).astype(np.uint16)


def coded(pixels: np.ndarray, predictor: int = 1) -> bytes:
    return bytes(
        imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=8 * pixels.itemsize)
    )


def decoded(frame: bytes) -> np.ndarray:
    return np.asarray(imagecodecs.jpeg8_decode(frame))


@settings(max_examples=60)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    kind=st.sampled_from(["u1", "u2"]),
    predictor=st.integers(1, 7),
    spread=st.sampled_from([0, 1, 20, 255, 65535]),
    seed=st.integers(0, 99),
)
def test_any_picture_takes_as_many_bits_as_its_scan_has(
    rows: int, columns: int, kind: str, predictor: int, spread: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, spread + 1, (rows, columns)).astype(kind)
    assert is_whole(coded(pixels, predictor), pixels)


@pytest.mark.parametrize("bits", range(8, 17))
def test_an_encoder_that_makes_its_own_tables_is_understood(bits: int) -> None:
    pixels = tissue() >> np.uint16(max(12 - bits, 0))
    frame = bytes(imagecodecs.ljpeg_encode(pixels, bitspersample=bits))
    assert is_whole(frame, decoded(frame))


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize(("place", "lost"), [(0.1, 40), (0.5, 40), (0.9, 40), (0.5, 2000)])
def test_a_scan_of_which_a_part_is_gone_has_another_number_of_bits(predictor: int, place: float, lost: int) -> None:
    frame = coded(tissue(), predictor)
    data = jpeg_data(frame)
    start = data.start + int((data.stop - data.start) * place)
    damaged = frame[:start] + frame[start + lost :]
    assert not is_whole(damaged, decoded(damaged))


def test_a_scan_that_lost_its_last_bytes_has_another_number_of_bits() -> None:
    frame = coded(tissue())
    damaged = frame[: jpeg_data(frame).stop - 2] + b"\xff\xd9"
    assert not is_whole(damaged, decoded(damaged))


def test_what_may_stand_before_the_end_of_a_picture_is_no_data() -> None:
    frame = coded(tissue())
    end = jpeg_data(frame).stop
    assert is_whole(frame[:end] + b"\xff\xff" + frame[end:], tissue())


def with_restarts(block: np.ndarray, times: int) -> bytes:
    """The same block of rows below itself some times, each predicted anew: so all are coded by the same table."""
    frame = coded(block, predictor=4)
    header, data = bytearray(frame[: jpeg_data(frame).start]), frame[jpeg_data(frame)]
    size, scan = (place for marker, place in jpeg_segments(frame) if marker in (0xC3, 0xDA))
    header[size + 5 : size + 7] = (times * len(block)).to_bytes(2, "big")
    header[scan:scan] = b"\xff\xdd\x00\x04" + block.size.to_bytes(2, "big")
    return bytes(header) + data + b"".join(bytes([0xFF, 0xD0 + one]) + data for one in range(times - 1)) + b"\xff\xd9"


def test_a_picture_with_restarts_is_whole_with_all_that_is_between_them() -> None:
    frame = with_restarts(tissue(rows=24), times=4)
    assert np.array_equal(decoded(frame), np.tile(tissue(rows=24), (4, 1)))
    assert is_whole(frame, decoded(frame))
    lacking = frame[: frame.index(b"\xff\xd0")] + frame[frame.index(b"\xff\xd1") :]
    assert not is_whole(lacking, decoded(lacking))
