from __future__ import annotations

import struct
import tracemalloc
import zlib
from io import BytesIO

import pydicom
import pytest
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from cds.dicom_file import UNREADABLE, LargerThanAnyImage, read_file
from tests.builders import file_bytes, mammogram


def deflated(behind: bytes = b"", times: int = 0) -> bytes:
    """A deflated mammogram, with some bytes a number of times in an element behind its pixels."""
    image = mammogram(patient_id="Müller")
    image.SpecificCharacterSet = "ISO_IR 192"
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = file_bytes(image)
    start = 144 + int.from_bytes(file[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = [packer.compress(zlib.decompress(file[start:], -zlib.MAX_WBITS))]
    if behind:
        packed.append(packer.compress(struct.pack("<HH2sHI", 0x7FE1, 0x1010, b"OB", 0, len(behind) * times)))
        packed += [packer.compress(behind) for _ in range(times)]
    return file[:start] + b"".join(packed) + packer.flush()


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless],
    ids=lambda syntax: syntax.keyword,
)
def test_a_file_is_read_as_pydicom_reads_it(syntax: UID) -> None:
    image = mammogram(transfer_syntax=syntax if syntax.is_encapsulated else ExplicitVRLittleEndian)
    image.file_meta.TransferSyntaxUID = syntax
    read, expected = read_file(BytesIO(file_bytes(image))), pydicom.dcmread(BytesIO(file_bytes(image)))
    assert read == expected
    assert (read.file_meta, read.preamble) == (expected.file_meta, expected.preamble)
    assert (read.original_encoding, read.original_character_set) == (
        expected.original_encoding,
        expected.original_character_set,
    )


def test_names_in_a_deflated_file_are_read_in_its_character_set() -> None:
    assert read_file(BytesIO(deflated())).PatientID == "Müller"


def test_a_deflated_file_that_grows_larger_than_any_image_is_not_read_and_takes_no_memory() -> None:
    bomb = deflated(bytes(1 << 20), times=200)
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    with pytest.raises(LargerThanAnyImage):
        read_file(BytesIO(bomb), most_inflated=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20


def test_a_file_larger_than_any_image_is_not_read() -> None:
    file = file_bytes(mammogram())
    assert read_file(BytesIO(file), most_bytes=len(file))
    with pytest.raises(LargerThanAnyImage):
        read_file(BytesIO(file), most_bytes=len(file) - 1)


def test_a_deflated_file_that_stops_short_is_not_read() -> None:
    with pytest.raises(EOFError):
        read_file(BytesIO(deflated()[:-20]))


def test_a_padded_deflated_file_is_read() -> None:
    assert read_file(BytesIO(deflated() + b"\0")).PatientID == "Müller"


@pytest.mark.parametrize("content", [b"", b"no DICOM", b"\0" * 132])
def test_what_is_no_dicom_is_unreadable(content: bytes) -> None:
    with pytest.raises(UNREADABLE):
        read_file(BytesIO(content))


def test_a_character_set_that_is_a_number_is_unreadable() -> None:
    file = file_bytes(mammogram())
    number = struct.pack("<HH2sH2s", 0x0008, 0x0005, b"FL", 2, b"\0\0")
    start = 144 + int.from_bytes(file[140:144], "little")
    with pytest.raises(UNREADABLE):
        read_file(BytesIO(file[:start] + number + file[start:]))
