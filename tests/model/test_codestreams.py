from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import get_frame
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from model.codestreams import Codestream, described, ends, jpeg_data, packs_rows
from tests.builders import file_bytes, mammogram
from tests.model.dcmtk import dcmtk

EXPECTED = Codestream(rows=64, columns=48, bits=12)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless], ids=lambda syntax: syntax.keyword)
def test_a_codestream_says_its_rows_columns_and_bits(syntax: str) -> None:
    frame = get_frame(mammogram(transfer_syntax=syntax).PixelData, 0, number_of_frames=1)
    assert described(frame) == EXPECTED
    assert described(b"box before it" + frame if syntax == JPEG2000Lossless else frame) == EXPECTED
    assert ends(frame)
    assert not ends(frame[:-4])


@pytest.mark.integration
@pytest.mark.parametrize("option", ["+e1", "+el"])
def test_a_jpeg_of_dcmtk_says_its_rows_columns_and_bits(option: str, tmp_path: Path) -> None:
    (tmp_path / "in.dcm").write_bytes(file_bytes(mammogram()))
    dcmtk("dcmcjpeg", option, str(tmp_path / "in.dcm"), str(tmp_path / "out.dcm"))
    frame = get_frame(pydicom.dcmread(tmp_path / "out.dcm").PixelData, 0, number_of_frames=1)
    assert described(frame) == replace(EXPECTED, bits=16)  # DCMTK stores 12 bits as 16


def test_the_data_of_a_jpeg_lies_between_its_header_and_its_end() -> None:
    header, data = b"\xff\xd8\xff\xfe\x00\x04\xff\xd9" + b"\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00", b"\x12\xff\x00"
    frame = header + data + b"\xff\xd9" + b"\0"
    assert frame[jpeg_data(frame)] == data


@given(
    rows=st.integers(20, 30), columns=st.integers(2, 400), levels=st.sampled_from([1, 2, 256]), seed=st.integers(0, 99)
)
def test_rows_that_are_packed_each_on_its_own_are_known_by_their_length(
    rows: int, columns: int, levels: int, seed: int
) -> None:
    plane = np.random.default_rng(seed).integers(0, levels, (rows, columns), dtype=np.uint8)
    segment = bytes(imagecodecs.packbits_encode(plane, axis=-1))
    assert packs_rows(segment + bytes(len(segment) % 2), columns)
    assert not packs_rows(segment, columns - 1)


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda tail: b"\xff\xd8\xff" + tail)))
def test_any_bytes_are_described_or_not_and_never_a_crash(content: bytes) -> None:
    found = described(content)
    assert found is None or isinstance(found, Codestream)
