"""Stored pixels of one DICOM image, each transfer syntax decoded by one named plugin, whatever else is installed."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, config
from pydicom.pixels import pixel_array
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from model.errors import PicturesUnusable
from model.headers import FAULTS, element, frames, text

PLUGINS: Final[dict[UID, str]] = {
    ImplicitVRLittleEndian: "",
    ExplicitVRLittleEndian: "",
    ExplicitVRBigEndian: "",
    DeflatedExplicitVRLittleEndian: "",
    RLELossless: "pydicom",
    JPEGBaseline8Bit: "gdcm",
    JPEGExtended12Bit: "gdcm",
    JPEGLossless: "gdcm",
    JPEGLosslessSV1: "gdcm",
    JPEGLSLossless: "gdcm",
    JPEGLSNearLossless: "gdcm",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
}
"""Transfer syntax -> the one pydicom plugin that decodes it; an empty name means that nothing needs decoding.

RLE by pydicom itself: the faster pylibjpeg-rle panics on a truncated segment, which no `except Exception` catches.
JPEG-LS by gdcm: pyjpegls can spend seconds on a picture that stops short.
"""

MAX_PIXELS: Final = 64_000_000
"""Twice the largest detector (about 4700 x 6000): a header that claims more is refused before memory is asked for."""


def stored_pixels(image: Dataset) -> NDArray[np.integer]:
    """The stored values of a single-frame greyscale image, shape (rows, columns); raises PicturesUnusable."""
    rows, columns = _positive(image, "Rows"), _positive(image, "Columns")
    if rows * columns > MAX_PIXELS:
        raise PicturesUnusable(f"the header claims {rows} x {columns} pixels, more than any mammography detector has")
    _check_kind(image)
    pixels = _decode(image, rows, columns)
    if pixels.shape != (rows, columns) or pixels.dtype.kind not in "iu" or pixels.itemsize > 2:
        raise PicturesUnusable(f"the pixels decode to {pixels.dtype} {pixels.shape}, the header says {(rows, columns)}")
    return pixels


def _check_kind(image: Dataset) -> None:
    if element(image, "SamplesPerPixel") not in (1, None) or frames(image) != 1:
        raise PicturesUnusable("the image is in colour or has several frames; a single greyscale picture is needed")
    # A palette has one sample a pixel too, but its values are colour numbers, not brightness.
    if text(image, "PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        raise PicturesUnusable("the photometric interpretation is not MONOCHROME1 or MONOCHROME2")
    allocated, stored, high = (element(image, word) for word in ("BitsAllocated", "BitsStored", "HighBit"))
    if allocated not in (8, 16):
        raise PicturesUnusable("BitsAllocated is not 8 or 16, as mammograms have it")
    # The decoder takes the lowest bits as stored and would cut off the top of left-aligned values without a word.
    if high is not None and not (isinstance(stored, int) and high == stored - 1):
        raise PicturesUnusable("HighBit does not fit BitsStored, so the place of the values in their words is unknown")
    if "PixelData" not in image:
        raise PicturesUnusable("the file has no pixel data; send the image again")


def _decode(image: Dataset, rows: int, columns: int) -> NDArray[np.integer]:
    syntax = UID(text(getattr(image, "file_meta", Dataset()), "TransferSyntaxUID"), config.IGNORE)
    if syntax not in PLUGINS:
        raise PicturesUnusable(f"no decoder for transfer syntax {syntax.name!r}")
    try:
        if not PLUGINS[syntax]:
            _check_length(image, rows, columns)
        # Decoders raise whatever their C library tells them; every one of these means the same to us.
        pixels: NDArray[np.integer] = pixel_array(image, raw=True, decoding_plugin=PLUGINS[syntax])
    except (*FAULTS, RuntimeError, EOFError, OSError) as e:
        raise PicturesUnusable(f"the pixels cannot be decoded ({syntax.name}, {type(e).__name__})") from e
    return pixels


def _check_length(image: Dataset, rows: int, columns: int) -> None:
    """A whole row too many means that Rows or Columns is wrong; the decoder would cut it off and go on."""
    row = columns * image.BitsAllocated // 8
    if len(image.PixelData) >= (rows + 1) * row:
        raise PicturesUnusable(f"there are more pixels than the {rows} x {columns} of the header")


def _positive(image: Dataset, keyword: str) -> int:
    value = element(image, keyword)
    if not isinstance(value, int) or value <= 0:
        raise PicturesUnusable(f"{keyword} is missing or not one positive number")
    return value
