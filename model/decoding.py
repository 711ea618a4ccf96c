"""Stored pixels of one DICOM image, each transfer syntax by the fastest decoder that was found safe for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, config
from pydicom.encaps import generate_fragments, parse_basic_offsets
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

from model import jpeg2000, jpeg_lossless
from model.codestreams import JPEG_END, Codestream, described, ends, jpeg_data, packs_rows, rle_segments
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
    if not isinstance(stored, int) or not 0 < stored <= allocated:
        raise PicturesUnusable("BitsStored is missing or does not fit BitsAllocated")
    if element(image, "PixelRepresentation") not in (0, 1):
        raise PicturesUnusable("PixelRepresentation is not 0 or 1, so the sign of the pixels is unknown")
    # The decoder takes the lowest bits as stored and would cut off the top of left-aligned values without a word.
    if high is not None and high != stored - 1:
        raise PicturesUnusable("HighBit does not fit BitsStored, so the place of the values in their words is unknown")
    if "PixelData" not in image:
        raise PicturesUnusable("the file has no pixel data; send the image again")


def _decode(image: Dataset, rows: int, columns: int) -> NDArray[np.integer]:
    syntax = UID(text(getattr(image, "file_meta", Dataset()), "TransferSyntaxUID"), config.IGNORE)
    if syntax not in UNCOMPRESSED and syntax not in DECODERS:
        raise PicturesUnusable(f"no decoder for transfer syntax {syntax.name!r}")
    try:
        signed = image.PixelRepresentation == 1
        words = Words(rows, columns, image.BitsAllocated, image.BitsStored, signed, _overlays(image))
        return _native(image, words) if syntax in UNCOMPRESSED else DECODERS[syntax](_only_frame(image), words)
    # Decoders raise whatever their C library tells them; every one of these means the same to us.
    except (*FAULTS, RuntimeError, EOFError) as e:
        raise PicturesUnusable(f"the pixels cannot be decoded ({syntax.name}, {type(e).__name__})") from e


def _native(image: Dataset, words: Words) -> NDArray[np.integer]:
    length = words.rows * words.columns * words.allocated // 8
    if image["PixelData"].is_undefined_length:
        raise PicturesUnusable("the pixels are stored as compressed ones are, the transfer syntax says otherwise")
    # The decoder would cut off what is too much and shear the picture; one byte makes the length even (PS3.5 8.1.1).
    if len(image.PixelData) > length + length % 2:
        raise PicturesUnusable(f"there are more pixels than the {words.rows} x {words.columns} of the header")
    return words.stored_values(pixel_array(image, raw=True, correct_unused_bits=False))


def _only_frame(image: Dataset) -> bytes:
    """The one compressed picture, put together from its fragments; raises PicturesUnusable where there are several."""
    encapsulated = BytesIO(image.PixelData)
    offsets = parse_basic_offsets(encapsulated)
    first, *others = filter(None, generate_fragments(encapsulated))
    if len(offsets) > 1 or any(other.startswith(first[:4]) for other in others):
        raise PicturesUnusable("there are several compressed pictures in the image, the header says one")
    return b"".join((first, *others))


def _overlays(image: Dataset) -> int:
    """The bits of each pixel's word that are an overlay, as old files have them (PS3.5 8.1.2)."""
    places = {image[tag].value for tag in range(0x60000102, 0x60200102, 0x20000) if tag in image}
    return sum(1 << place for place in places if isinstance(place, int) and 0 <= place < 16)


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
    overlays: int = 0
    """Bits that are none of the value, by the header's word."""

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

    def stored_values(self, pixels: NDArray[Any]) -> NDArray[np.integer]:
        """The values of BitsStored bits; raises PicturesUnusable where they are wider and would be cut off."""
        unsigned = pixels.astype(f"u{pixels.itemsize}", copy=False)
        above = (-1 << self.stored) & (256**pixels.itemsize - 1) & ~self.overlays
        if not np.bitwise_or.reduce(unsigned, axis=None) & above:
            return self.with_sign(unsigned, self.stored)
        values = self.with_sign(unsigned.copy(), self.stored)
        # Nothing may lie above a value but copies of its sign.
        if ((unsigned ^ values.view(unsigned.dtype)) & above).any():
            raise PicturesUnusable("pixels have values of more bits than BitsStored says; its header is wrong")
        return values

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
    segments = rle_segments(frame, planes)
    if not packs_rows(segments[-1], words.columns):  # the finest plane has the fewest blank rows
        raise PicturesUnusable(f"the compressed rows do not end after the {words.columns} columns of the header")
    first, *others = (_unpacked(segment, size) for segment in segments)
    pixels = first.astype(f"u{planes}")
    for plane in others:
        pixels <<= 8
        pixels |= plane
    return words.stored_values(pixels.reshape(words.rows, words.columns))


def _unpacked(segment: bytes, size: int) -> NDArray[np.uint8]:
    plane = np.empty(size, dtype=np.uint8)
    if len(imagecodecs.packbits_decode(segment, out=plane.data)) != size:
        raise PicturesUnusable("the pixels cannot be decoded: the compressed picture stops short")
    return plane


def _jpeg_lossless(frame: bytes, words: Words) -> NDArray[np.integer]:
    _checked_jpeg(frame, words, LOSSLESS)
    pixels = imagecodecs.jpeg8_decode(frame)
    if not jpeg_lossless.is_whole(frame, pixels):
        raise PicturesUnusable(PART_MISSING)
    return words.stored_values(pixels)


def _jpeg_lossy(*processes: int) -> Decoder:
    """Decodes twice: the decoder does not tell that data ran out, but then its picture depends on what follows.

    No decoder at hand tells more. What is damaged in the middle passes where the rest is enough for all pixels, and
    what is lost passes in a picture with restarts, which few units write.
    """

    def decode(frame: bytes, words: Words) -> NDArray[np.integer]:
        stream = _checked_jpeg(frame, words, *processes)
        pixels = imagecodecs.jpeg8_decode(frame)
        if not np.array_equal(pixels, imagecodecs.jpeg8_decode(frame[: jpeg_data(frame).stop] + MORE_DATA)):
            raise PicturesUnusable(PART_MISSING)
        # What was lost may have left a value a little above BitsStored: its highest bit is part of it.
        return words.with_sign(pixels, max(stream.bits, words.stored))

    return decode


def _checked_jpeg(frame: bytes, words: Words, *processes: int) -> Codestream:
    _check_end(frame)
    stream = words.checked(described(frame))
    if stream.process not in processes:
        raise PicturesUnusable("the compressed picture is not of the kind of JPEG that its transfer syntax says")
    return stream


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

MORE_DATA: Final = bytes(range(255)) + JPEG_END
"""Taken for more of a picture, it would be anything but the grey that the decoder fills in."""

PART_MISSING: Final = "the pixels cannot be decoded: a part of the compressed picture is missing or damaged"

DECODERS: Final[dict[UID, Decoder]] = {
    RLELossless: _rle,
    JPEGBaseline8Bit: _jpeg_lossy(BASELINE),
    JPEGExtended12Bit: _jpeg_lossy(BASELINE, EXTENDED),
    JPEGLossless: _jpeg_lossless,
    JPEGLosslessSV1: _jpeg_lossless,
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

JPEG Lossless is decoded by libjpeg-turbo and checked after, which together take as long as liblj92. That one notices
where data runs out (imagecodecs 2026.3.6), but damaged tables of codes end the process.
"""
