"""How long each decoder takes for one full-size picture in each transfer syntax; the one in use is named so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from io import BytesIO

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from benchmarks.timing import Row, copy_seconds, median_seconds
from model.decoding import stored_pixels
from model.domain import STANDARD_VIEWS
from model.phantom import PhantomExam, dicom_images, file_bytes

FULL_SIZE = PhantomExam(9_100_002, date(2026, 1, 1), 0.3, views=STANDARD_VIEWS[:1], rows=3328, columns=2560)

Pixels = NDArray[np.integer]
Frame = Callable[[bytes], object]

ENCODED_BY: dict[UID, Callable[[Pixels], bytes | bytearray]] = {
    JPEGLosslessSV1: lambda stored: imagecodecs.jpeg8_encode(stored, lossless=True, predictor=1),
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEG2000Lossless: lambda stored: imagecodecs.jpeg2k_encode(stored, codecformat="J2K", reversible=True, level=0),
    HTJ2KLossless: lambda stored: imagecodecs.htj2k_encode(stored, reversible=True),
}

SYNTAXES: tuple[UID, ...] = (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, *ENCODED_BY)

OTHER_CODECS: dict[UID, dict[str, Frame]] = {
    RLELossless: {"imagecodecs dicomrle": lambda frame: imagecodecs.dicomrle_decode(frame, dtype="<u2")},
    JPEGLosslessSV1: {
        "imagecodecs ljpeg": imagecodecs.ljpeg_decode,
        "imagecodecs jpegsof3": imagecodecs.jpegsof3_decode,
    },
    HTJ2KLossless: {"imagecodecs htj2k": imagecodecs.htj2k_decode},
}
"""Codecs beside the plugins of pydicom that are measured but not used; `model.decoding` says why."""


def rows(rounds: int) -> Iterator[Row]:
    """One row for each transfer syntax and decoder."""
    original = next(dicom_images(FULL_SIZE))
    stored = stored_pixels(original)
    floor = copy_seconds(stored.nbytes)
    for syntax in SYNTAXES:
        file = file_bytes(in_syntax(original, stored, syntax))
        for decoder, decode in _decoders(file, syntax).items():
            seconds = median_seconds(decode, rounds)
            yield Row(f"decode one picture, {syntax.name}: {decoder}", seconds, floor, "one copy in memory")


def _decoders(file: bytes, syntax: UID) -> dict[str, Callable[[], object]]:
    image = pydicom.dcmread(BytesIO(file))
    if not syntax.is_encapsulated:  # inflating is part of reading the file
        return {"in use": lambda: stored_pixels(pydicom.dcmread(BytesIO(file)))}
    frame = get_frame(image.PixelData, 0, number_of_frames=1)
    plugins = get_decoder(syntax).available_plugins
    return {
        "in use": lambda: stored_pixels(image),
        **{f"pydicom with {plugin}": _with_plugin(image, plugin) for plugin in plugins},
        **{name: _of_frame(decode, frame) for name, decode in OTHER_CODECS.get(syntax, {}).items()},
    }


def _with_plugin(image: Dataset, plugin: str) -> Callable[[], object]:
    return lambda: pixel_array(image, raw=True, decoding_plugin=plugin)


def _of_frame(decode: Frame, frame: bytes) -> Callable[[], object]:
    return lambda: decode(frame)


def in_syntax(original: pydicom.FileDataset, stored: Pixels, syntax: UID) -> pydicom.FileDataset:
    """An image with these pixels in another transfer syntax."""
    image = pydicom.dcmread(BytesIO(file_bytes(original)))
    if syntax == RLELossless:
        image.compress(syntax, encoding_plugin="pydicom", generate_instance_uid=False)
    elif syntax.is_encapsulated:
        image.PixelData = encapsulate([bytes(ENCODED_BY[syntax](stored))])
        image["PixelData"].VR = "OB"
    image.file_meta.TransferSyntaxUID = syntax
    return image
