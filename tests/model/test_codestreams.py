from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import get_frame
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from model.codestreams import Codestream, described, ends
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


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda tail: b"\xff\xd8\xff" + tail)))
def test_any_bytes_are_described_or_not_and_never_a_crash(content: bytes) -> None:
    found = described(content)
    assert found is None or isinstance(found, Codestream)
