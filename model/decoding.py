"""Stored pixels of one DICOM image, each transfer syntax by the fastest decoder that was found safe for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, config
from pydicom.encaps import get_frame
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

from model import jpeg2000
from model.codestreams import Codestream, described, ends, rle_segments
from model.errors import PicturesUnusable
from model.headers import FAULTS, element, frames, text

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
    if syntax not in UNCOMPRESSED and syntax not in DECODERS:
        raise PicturesUnusable(f"no decoder for transfer syntax {syntax.name!r}")
    try:
        if syntax in UNCOMPRESSED:
            _check_length(image, rows, columns)
            pixels: NDArray[np.integer] = pixel_array(image, raw=True)
            return pixels
        words = Words(rows, columns, image.BitsAllocated, image.BitsStored, image.PixelRepresentation == 1)
        return DECODERS[syntax](get_frame(image.PixelData, 0, number_of_frames=1), words)
    # Decoders raise whatever their C library tells them; every one of these means the same to us.
    except (*FAULTS, RuntimeError, EOFError, OSError) as e:
        raise PicturesUnusable(f"the pixels cannot be decoded ({syntax.name}, {type(e).__name__})") from e


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


@dataclass(frozen=True)
class Words:
    """How the pixels are to lie in memory, by the DICOM header."""

    rows: int
    columns: int
    allocated: int
    stored: int
    signed: bool

    def checked(self, stream: Codestream | None) -> Codestream:
        """What a compressed picture says of itself where it agrees with the DICOM header; raises PicturesUnusable.

        Before memory is asked for: decoders take the size from the stream.
        """
        if stream is None or stream.components != 1:
            raise PicturesUnusable("the pixels cannot be decoded: not one compressed greyscale picture")
        claimed, size = (stream.rows, stream.columns), (self.rows, self.columns)
        if claimed != size:
            raise PicturesUnusable(f"the compressed picture is {claimed}, the header says {size}")
        if stream.bits > self.allocated:
            raise PicturesUnusable(f"the compressed picture has {stream.bits} bits, the header makes room for fewer")
        return stream

    def with_sign(self, pixels: NDArray[Any], bits: int) -> NDArray[np.integer]:
        """The same memory read with the header's sign, from the highest of `bits`; what lies above it is not value."""
        width = 8 * pixels.itemsize
        words: NDArray[np.integer] = pixels.view(f"{'i' if self.signed else 'u'}{pixels.itemsize}")
        if not 0 < bits < width:
            return words
        if self.signed:
            words <<= width - bits
            words >>= width - bits
        else:
            words &= (1 << bits) - 1
        return words


Decoder = Callable[[bytes, Words], NDArray[np.integer]]


def _rle(frame: bytes, words: Words) -> NDArray[np.integer]:
    # Plane by plane: the codec's own reading of the RLE header crashes on offsets that point outside of the frame.
    size, planes = words.rows * words.columns, words.allocated // 8
    first, *others = (_unpacked(segment, size) for segment in rle_segments(frame, planes))
    pixels = first.astype(f"u{planes}")
    for plane in others:
        pixels <<= 8
        pixels |= plane
    return words.with_sign(pixels.reshape(words.rows, words.columns), words.stored)


def _unpacked(segment: bytes, size: int) -> NDArray[np.uint8]:
    plane = np.empty(size, dtype=np.uint8)
    if len(imagecodecs.packbits_decode(segment, out=plane.data)) != size:
        raise PicturesUnusable("the pixels cannot be decoded: the compressed picture stops short")
    return plane


def _jpeg(*processes: int) -> Decoder:
    def decode(frame: bytes, words: Words) -> NDArray[np.integer]:
        _check_end(frame)
        if words.checked(described(frame)).process not in processes:
            raise PicturesUnusable("the compressed picture is not of the kind of JPEG that its transfer syntax says")
        return words.with_sign(imagecodecs.jpeg8_decode(frame), words.stored)

    return decode


def _jpeg_ls(frame: bytes, words: Words) -> NDArray[np.integer]:
    _check_end(frame)
    stream = words.checked(described(frame))
    return words.with_sign(imagecodecs.jpegls_decode(frame), stream.bits)


def _check_end(frame: bytes) -> None:
    """The decoder of JPEG fills what is missing with grey, that of JPEG-LS searches for it for seconds."""
    if not ends(frame):
        raise PicturesUnusable("the pixels cannot be decoded: the compressed picture stops short")


def _jpeg2000(frame: bytes, words: Words) -> NDArray[np.integer]:
    codestream = jpeg2000.codestream(frame)
    stream = words.checked(described(codestream))
    if jpeg2000.is_too_fine(codestream):
        raise PicturesUnusable("the compressed picture is cut into more pieces than any encoder makes")
    if not jpeg2000.is_whole(codestream):
        raise PicturesUnusable("the pixels cannot be decoded: the compressed picture stops short")
    # Two threads each, though the views of an exam are decoded beside each other: the last one leaves a core idle else.
    return words.with_sign(imagecodecs.jpeg2k_decode(codestream, numthreads=2), stream.bits)


UNCOMPRESSED: Final = frozenset(
    {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
)

BASELINE, EXTENDED, LOSSLESS = 0xC0, 0xC1, 0xC3

DECODERS: Final[dict[UID, Decoder]] = {
    RLELossless: _rle,
    JPEGBaseline8Bit: _jpeg(BASELINE),
    JPEGExtended12Bit: _jpeg(BASELINE, EXTENDED),
    JPEGLossless: _jpeg(LOSSLESS),
    JPEGLosslessSV1: _jpeg(LOSSLESS),
    JPEGLSLossless: _jpeg_ls,
    JPEGLSNearLossless: _jpeg_ls,
    JPEG2000Lossless: _jpeg2000,
    JPEG2000: _jpeg2000,
    HTJ2KLossless: _jpeg2000,
    HTJ2KLosslessRPCL: _jpeg2000,
    HTJ2K: _jpeg2000,
}
"""Transfer syntax -> its decoder; chosen by `make bench` among the permissively licensed ones.

High-throughput JPEG 2000 goes through OpenJPEG although OpenJPH takes half of the time. As it is bound today
(imagecodecs 2026.3.6, OpenJPH 0.26.3), one damaged byte may have it crash or go on for ever; it passes over what a tile
says of itself, turns white to black where something was lost, and does not tell of its own errors.
"""
