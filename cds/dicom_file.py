"""A DICOM file as a dataset, within bounds: three megabytes of a deflated file may hold three gigabytes of zeros."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import BinaryIO, Final

import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian

from model.headers import FAULTS, text

MOST_BYTES: Final = 2 << 30
"""Of a file: the longest tomosynthesis takes about one gigabyte."""

MOST_INFLATED: Final = 256 << 20
"""Bytes of a deflated file: twice what the largest picture takes that is decoded."""

UNREADABLE: Final = (*FAULTS, InvalidDicomError, zlib.error)
"""What reading raises on a file that is cut short, larger than it may be, or no DICOM."""


class LargerThanAnyImage(ValueError):
    """A file that is too large to be a mammogram, or becomes it when it is inflated."""


def read_file(file: BinaryIO, most_bytes: int = MOST_BYTES, most_inflated: int = MOST_INFLATED) -> FileDataset:
    """The whole dataset of a file that can be sought in; raises one of UNREADABLE."""
    if file.seek(0, 2) > most_bytes:
        raise LargerThanAnyImage
    file.seek(0)
    preamble = read_preamble(file, force=False)
    meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag >> 16 != 2)
    if text(meta, "TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        file.seek(0)
        return pydicom.dcmread(file)
    content = BytesIO(_inflated(file.read(), most_inflated))
    dataset = read_dataset(content, is_implicit_VR=False, is_little_endian=True)
    image = FileDataset(content, dataset, preamble, FileMetaDataset(meta), is_implicit_VR=False)
    image.set_original_encoding(False, True, dataset.original_character_set)
    return image


def _inflated(deflated: bytes, most: int) -> bytes:
    """PS3.5 A.5: what follows the file meta information is one deflated stream without a header of its own."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(deflated, most)
    if inflater.unconsumed_tail:
        raise LargerThanAnyImage
    if not inflater.eof:
        raise EOFError("the deflated stream stops short")
    return content
