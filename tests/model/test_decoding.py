from __future__ import annotations

import contextlib
import gc
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_charset_files, get_testdata_files
from pydicom.encaps import encapsulate, generate_frames, get_frame
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import (
    HTJ2K,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from model.decoding import DECODERS, stored_pixels
from model.errors import PicturesUnusable
from model.views import select_views, select_views_for_research
from tests.builders import file_bytes, mammogram, tomosynthesis
from tests.model.dcmtk import dcmtk

NATIVE = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
COMPRESSED = [RLELossless, JPEGLSLossless, JPEG2000Lossless]
AWKWARD = [path for name in (*get_testdata_files(), *get_charset_files()) if (path := Path(name)).is_file()]


def expected_pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 4096, (64, 48), dtype=np.uint16)


def reread(image: pydicom.Dataset) -> pydicom.Dataset:
    return pydicom.dcmread(BytesIO(file_bytes(image)))


@pytest.mark.parametrize("syntax", [*NATIVE, *COMPRESSED], ids=lambda syntax: syntax.keyword)
def test_every_transfer_syntax_decodes_to_the_very_pixels_that_went_in(syntax: UID) -> None:
    if syntax in COMPRESSED:
        image = mammogram(seed=3, transfer_syntax=syntax)
    else:
        image = mammogram(seed=3)
        image.file_meta.TransferSyntaxUID = syntax
        if not syntax.is_little_endian:
            image.PixelData = expected_pixels().astype(">u2").tobytes()
            image.set_original_encoding(is_implicit_vr=False, is_little_endian=False)
    again = reread(image)
    assert again.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(stored_pixels(again), expected_pixels())


@pytest.mark.integration
@pytest.mark.parametrize("option", ["+e1", "+el"])
def test_jpeg_lossless_as_dcmtk_writes_it_decodes_bit_for_bit(option: str, tmp_path: Path) -> None:
    (tmp_path / "in.dcm").write_bytes(file_bytes(mammogram(seed=3)))
    dcmtk("dcmcjpeg", option, str(tmp_path / "in.dcm"), str(tmp_path / "out.dcm"))
    image = pydicom.dcmread(tmp_path / "out.dcm")
    assert image.file_meta.TransferSyntaxUID.is_compressed
    assert np.array_equal(stored_pixels(image), expected_pixels())


def test_signed_pixels_come_back_signed() -> None:
    image = mammogram(rows=2, columns=2)
    image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 15, 1
    image.PixelData = np.array([[-32768, -1], [0, 32767]], dtype="<i2").tobytes()
    assert stored_pixels(image).tolist() == [[-32768, -1], [0, 32767]]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLosslessSV1], ids=lambda one: one.keyword)
def test_bits_that_are_an_overlay_are_no_part_of_the_value(syntax: UID) -> None:
    image = in_syntax(np.array([[0x9001, 0x0FFF], [0x1000, 5]], dtype=np.uint16), syntax)
    for group, place in ((0x6000, 12), (0x6002, 15)):
        image.add_new((group, 0x0100), "US", 16)
        image.add_new((group, 0x0102), "US", place)
    assert stored_pixels(image).tolist() == [[1, 4095], [0, 5]]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLosslessSV1], ids=lambda one: one.keyword)
@pytest.mark.parametrize("overlay_bit", [None, 15])
def test_a_value_of_more_bits_than_the_header_says_is_refused(syntax: UID, overlay_bit: int | None) -> None:
    # Cut off at twelve bits, white would turn black.
    image = in_syntax(np.array([[0x1001, 0x0FFF], [4, 5]], dtype=np.uint16), syntax)
    if overlay_bit is not None:
        image.add_new(0x60000102, "US", overlay_bit)
    with pytest.raises(PicturesUnusable, match="more bits than BitsStored"):
        stored_pixels(image)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLosslessSV1], ids=lambda one: one.keyword)
def test_a_signed_value_has_zeros_above_it_or_copies_of_its_sign(syntax: UID) -> None:
    expected = np.array([[-2048, -1], [0, 2047]], dtype=np.int16)
    for written in (expected.view(np.uint16), expected.view(np.uint16) & 0xFFF):
        image = in_syntax(written, syntax)
        image.PixelRepresentation = 1
        assert stored_pixels(image).tolist() == expected.tolist()
    image = in_syntax(np.array([[0x1800, 1], [0, 2047]], dtype=np.uint16), syntax)
    image.PixelRepresentation = 1
    with pytest.raises(PicturesUnusable, match="more bits than BitsStored"):
        stored_pixels(image)


def in_syntax(words: np.ndarray, syntax: UID) -> pydicom.Dataset:
    """An image of twelve bits that has these words of sixteen in its pixel data."""
    image: pydicom.Dataset = mammogram(rows=words.shape[0], columns=words.shape[1])
    image.PixelData = words.tobytes()
    if syntax == RLELossless:
        image.compress(syntax, generate_instance_uid=False)
    elif syntax.is_encapsulated:
        image = _encapsulated(words, syntax, bytes(ENCODERS[syntax](words)))
        image.BitsStored, image.HighBit = 12, 11
    return image


def test_the_byte_that_makes_the_length_even_is_no_pixel() -> None:
    image = mammogram(rows=3, columns=3)
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PixelData = bytes([*range(9), 0])
    assert stored_pixels(image).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_even_less_than_a_row_too_much_is_refused() -> None:
    # 65 rows of 48 read as 64 rows of 48 and a half would be sheared.
    image = mammogram()
    image.PixelData += bytes(2)
    with pytest.raises(PicturesUnusable, match="more pixels"):
        stored_pixels(image)


def test_pixels_in_fragments_under_a_transfer_syntax_without_them_are_refused() -> None:
    # The marks of the fragments would be read as pixels, and those behind them be moved.
    image = mammogram()
    image.Rows -= 1
    image["PixelData"].value = encapsulate([image.PixelData[: image.Rows * 96]])
    image["PixelData"].is_undefined_length = True
    with pytest.raises(PicturesUnusable, match="stored as compressed"):
        stored_pixels(image)


@pytest.mark.parametrize("columns", [24, 32, 64])
def test_run_lengths_of_rows_of_another_length_are_refused(columns: int) -> None:
    image = mammogram(transfer_syntax=RLELossless)
    image.Rows, image.Columns = 64 * 48 // columns, columns
    with pytest.raises(PicturesUnusable, match="rows do not end"):
        stored_pixels(image)


@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("with_offsets", [True, False])
def test_a_second_picture_that_the_header_does_not_tell_of_is_refused(syntax: UID, with_offsets: bool) -> None:
    image = mammogram(transfer_syntax=syntax)
    frame = next(generate_frames(image.PixelData, number_of_frames=1))
    image.PixelData = encapsulate([frame, frame], has_bot=with_offsets)
    with pytest.raises(PicturesUnusable, match="several compressed pictures"):
        stored_pixels(image)


def test_a_second_picture_of_another_make_is_found_by_the_table_of_pictures() -> None:
    frame = bytes(ENCODERS[JPEGLosslessSV1](expected_pixels()))
    with_comment = frame[:2] + b"\xff\xfe\x00\x04ab" + frame[2:]
    image = _encapsulated(expected_pixels(), JPEGLosslessSV1, frame)
    image.PixelData = encapsulate([frame, with_comment])
    with pytest.raises(PicturesUnusable, match="several compressed pictures"):
        stored_pixels(image)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless], ids=lambda one: one.keyword)
@pytest.mark.parametrize("with_offsets", [True, False])
def test_one_picture_in_several_fragments_with_padding_behind_it_is_one_picture(
    syntax: UID, with_offsets: bool
) -> None:
    frame = bytes(ENCODERS[syntax](expected_pixels())) + bytes(4)
    image = _encapsulated(expected_pixels(), syntax, frame)
    image.PixelData = encapsulate([frame], fragments_per_frame=5, has_bot=with_offsets)
    assert np.array_equal(stored_pixels(image), expected_pixels())


def test_eight_bit_pixels_are_read() -> None:
    image = mammogram(rows=2, columns=2)
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PixelData = bytes([0, 1, 254, 255])
    assert stored_pixels(image).tolist() == [[0, 1], [254, 255]]


@pytest.mark.parametrize(
    ("keyword", "value", "why"),
    [
        ("SamplesPerPixel", 3, "colour"),
        ("NumberOfFrames", 2, "several frames"),
        ("PhotometricInterpretation", "PALETTE COLOR", "photometric"),
        ("PhotometricInterpretation", "RGB", "photometric"),
        ("BitsAllocated", 32, "BitsAllocated"),
        ("BitsAllocated", 1, "BitsAllocated"),
        ("HighBit", 15, "HighBit"),
        ("Rows", None, "Rows"),
        ("Rows", 0, "Rows"),
        ("Columns", [48, 48], "Columns"),
        ("BitsStored", 20, "BitsStored"),
        ("BitsStored", 0, "BitsStored"),
        ("PixelRepresentation", 2, "PixelRepresentation"),
        ("Rows", 32, "more pixels"),
    ],
)
def test_a_header_that_is_not_that_of_one_greyscale_picture_is_refused(keyword: str, value: object, why: str) -> None:
    image = mammogram()
    setattr(image, keyword, value)
    with pytest.raises(PicturesUnusable, match=why):
        stored_pixels(image)


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated", "BitsStored", "PhotometricInterpretation"])
def test_a_header_without_what_describes_the_pixels_is_refused(keyword: str) -> None:
    image = mammogram()
    delattr(image, keyword)
    with pytest.raises(PicturesUnusable):
        stored_pixels(image)


def test_a_tomosynthesis_volume_is_refused() -> None:
    with pytest.raises(PicturesUnusable, match="several frames"):
        stored_pixels(tomosynthesis("1.2.3"))


def test_a_header_that_claims_a_billion_pixels_is_refused_before_memory_is_asked_for() -> None:
    image = mammogram()
    image.Rows = image.Columns = 32768
    gc.collect()
    tracemalloc.start()
    with pytest.raises(PicturesUnusable, match="more than any"):
        stored_pixels(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("syntax", ["1.2.3.4", "1.2.840.10008.1.2.4.100", ""])
def test_an_unknown_transfer_syntax_is_refused(syntax: str) -> None:
    image = mammogram()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of the empty one, which is what files have
        image.file_meta.TransferSyntaxUID = UID(syntax)
    with pytest.raises(PicturesUnusable, match="no decoder"):
        stored_pixels(image)


def test_an_image_without_meta_header_is_refused() -> None:
    with pytest.raises(PicturesUnusable, match="no decoder"):
        stored_pixels(pydicom.Dataset(mammogram()))


def test_an_image_without_pixels_is_refused() -> None:
    image = mammogram()
    del image.PixelData
    with pytest.raises(PicturesUnusable, match="no pixel data"):
        stored_pixels(image)


@pytest.mark.parametrize("kept", [0, 1, 100, 6143])
def test_native_pixels_that_stop_short_are_refused(kept: int) -> None:
    image = mammogram()
    image.PixelData = image.PixelData[:kept]
    with pytest.raises(PicturesUnusable):
        stored_pixels(image)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda syntax: syntax.keyword)
def test_a_compressed_picture_that_stops_short_is_refused(syntax: UID, share: float) -> None:
    image = mammogram(transfer_syntax=syntax)
    frame = next(generate_frames(image.PixelData, number_of_frames=1))
    image.PixelData = encapsulate([frame[: int(len(frame) * share)]])
    with pytest.raises(PicturesUnusable, match="cannot be decoded"):
        stored_pixels(image)


@pytest.mark.parametrize(("rows", "columns"), [(60, 48), (68, 48), (64, 40), (48, 64)])
@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless], ids=lambda syntax: syntax.keyword)
def test_a_compressed_picture_of_another_size_than_the_header_s_is_refused(
    syntax: UID, rows: int, columns: int
) -> None:
    # Some decoders end the process here, others shear the picture without a word.
    image = mammogram(transfer_syntax=syntax)
    image.Rows, image.Columns = rows, columns
    with pytest.raises(PicturesUnusable, match=r"\(64, 48\)"):
        stored_pixels(image)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless], ids=lambda syntax: syntax.keyword)
def test_a_compressed_picture_of_more_bits_than_the_header_has_room_for_is_refused(syntax: UID) -> None:
    # The decoders would drop the high bits of every pixel without a word.
    image = mammogram(transfer_syntax=syntax)
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    with pytest.raises(PicturesUnusable, match="bits"):
        stored_pixels(image)


@pytest.mark.parametrize("rows", [60, 68])
def test_run_lengths_for_another_number_of_rows_never_stop_the_run(rows: int) -> None:
    # pylibjpeg-rle panics here, past every `except Exception`; pydicom cuts rows that the header does not have.
    image = mammogram(transfer_syntax=RLELossless)
    image.Rows = rows
    with contextlib.suppress(PicturesUnusable):
        assert stored_pixels(image).shape == (60, 48)


@pytest.mark.parametrize("syntax", [*COMPRESSED, JPEGLosslessSV1, JPEGExtended12Bit], ids=lambda syntax: syntax.keyword)
def test_bytes_that_are_no_picture_are_refused(syntax: UID) -> None:
    image = mammogram()
    image.file_meta.TransferSyntaxUID = syntax
    image.PixelData = encapsulate([bytes(range(256)) * 4])
    with pytest.raises(PicturesUnusable, match="cannot be decoded"):
        stored_pixels(image)


def test_a_refusal_names_no_patient() -> None:
    image = mammogram(patient_id="MRN-SECRET")
    image.PixelData = b""
    with pytest.raises(PicturesUnusable) as refused:
        stored_pixels(image)
    assert "SECRET" not in str(refused.value)


def test_every_compressed_transfer_syntax_names_its_decoder() -> None:
    assert all(syntax.is_encapsulated for syntax in DECODERS)


def _encapsulated(stored: np.ndarray, syntax: UID, frame: bytes) -> pydicom.Dataset:
    image = mammogram(rows=stored.shape[0], columns=stored.shape[1], transfer_syntax=ExplicitVRLittleEndian)
    image.BitsAllocated, image.PixelRepresentation = 8 * stored.itemsize, int(stored.dtype.kind == "i")
    image.BitsStored, image.HighBit = image.BitsAllocated, image.BitsAllocated - 1
    image.file_meta.TransferSyntaxUID = syntax
    image.PixelData = encapsulate([frame])
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    return reread(image)


ENCODERS: dict[UID, Callable[[np.ndarray], bytes | bytearray]] = {
    JPEGLosslessSV1: lambda stored: imagecodecs.jpeg8_encode(stored, lossless=True, predictor=1),
    JPEGLossless: lambda stored: imagecodecs.jpeg8_encode(stored, lossless=True, predictor=4),
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEG2000Lossless: lambda stored: imagecodecs.jpeg2k_encode(stored, codecformat="J2K", reversible=True, level=0),
    HTJ2KLossless: lambda stored: imagecodecs.htj2k_encode(stored, reversible=True),
    HTJ2K: lambda stored: imagecodecs.htj2k_encode(stored, reversible=True),
}


@pytest.mark.parametrize("syntax", list(ENCODERS), ids=lambda syntax: syntax.keyword)
@settings(max_examples=15)
@given(rows=st.integers(1, 40), columns=st.integers(1, 40), kind=st.sampled_from(["u1", "u2"]), seed=st.integers(0, 99))
def test_any_size_and_depth_decodes_to_the_very_pixels_that_went_in(
    syntax: UID, rows: int, columns: int, kind: str, seed: int
) -> None:
    stored = np.random.default_rng(seed).integers(0, 2 ** (8 * int(kind[1])), (rows, columns)).astype(kind)
    again = stored_pixels(_encapsulated(stored, syntax, bytes(ENCODERS[syntax](stored))))
    assert again.dtype == stored.dtype
    assert np.array_equal(again, stored)


@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("stored_bits", [12, 16])
def test_signed_compressed_pixels_come_back_signed(syntax: UID, stored_bits: int) -> None:
    stored = np.random.default_rng(1).integers(-2048, 2048, (64, 48)).astype("<i2")
    image = mammogram(seed=1)
    image.PixelRepresentation, image.BitsStored, image.HighBit = 1, stored_bits, stored_bits - 1
    image.PixelData = stored.tobytes()
    image.compress(syntax, generate_instance_uid=False)
    again = stored_pixels(reread(image))
    assert again.dtype == np.int16
    assert np.array_equal(again, stored)


@pytest.mark.parametrize("kind", [JPEGLosslessSV1, JPEGExtended12Bit, HTJ2KLossless], ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_other_compressed_pictures_that_stop_short_are_refused_too(kind: UID, share: float) -> None:
    stored = expected_pixels()
    frame = bytes(ENCODERS[kind](stored) if kind in ENCODERS else imagecodecs.jpeg8_encode(stored, bitspersample=12))
    with pytest.raises(PicturesUnusable, match="cannot be decoded"):
        stored_pixels(_encapsulated(stored, kind, frame[: int(len(frame) * share)]))


LOSSY: dict[UID, Callable[[np.ndarray], bytes | bytearray]] = {
    JPEGBaseline8Bit: lambda stored: imagecodecs.jpeg8_encode((stored >> 4).astype(np.uint8), level=95),
    JPEGExtended12Bit: lambda stored: imagecodecs.jpeg8_encode(stored, level=95, bitspersample=12),
}


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLossless, *LOSSY], ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
def test_a_jpeg_that_lost_its_last_part_but_has_an_end_is_refused(syntax: UID, kept: float) -> None:
    # The decoder fills what is missing with grey and says nothing of it.
    image, frame = _jpeg_image(syntax)
    image.PixelData = encapsulate([frame[: int(len(frame) * kept)] + b"\xff\xd9"])
    with pytest.raises(PicturesUnusable, match="missing or damaged"):
        stored_pixels(image)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLossless, *LOSSY], ids=lambda syntax: syntax.keyword)
def test_a_jpeg_that_lost_a_fragment_is_refused(syntax: UID) -> None:
    image, frame = _jpeg_image(syntax)
    third = len(frame) // 3
    image.PixelData = encapsulate([frame[:third] + frame[2 * third :]])
    with pytest.raises(PicturesUnusable, match="missing or damaged"):
        stored_pixels(image)


def _jpeg_image(syntax: UID) -> tuple[pydicom.Dataset, bytes]:
    stored = expected_pixels()
    frame = bytes((ENCODERS | LOSSY)[syntax](stored))
    image = _encapsulated(stored.astype(np.uint8) if syntax == JPEGBaseline8Bit else stored, syntax, frame)
    assert stored_pixels(image).shape == stored.shape
    return image, frame


def test_a_lossy_jpeg_may_decode_to_a_little_whiter_than_white() -> None:
    # Cut off at ten bits, the overshoot would turn black.
    stored = (np.random.default_rng(2).integers(0, 2, (64, 48)) * 1023).astype(np.uint16)
    image = _encapsulated(stored, JPEGExtended12Bit, bytes(LOSSY[JPEGExtended12Bit](stored)))
    image.BitsStored, image.HighBit = 10, 9
    decoded = stored_pixels(image)
    assert decoded.max() > 1023
    assert np.abs(decoded.astype(int) - stored).max() < 300


def test_a_high_throughput_picture_of_twelve_bits_decodes_to_the_very_pixels_that_went_in() -> None:
    # The encoder writes 8 or 16 bits; twelve differ in the half of the range that is taken off, and in the header.
    frame = bytearray(ENCODERS[HTJ2KLossless](expected_pixels() + np.uint16(32768 - 2048)))
    assert frame[42] == 15
    frame[42] = 11
    assert np.array_equal(
        stored_pixels(_encapsulated(expected_pixels(), HTJ2KLossless, bytes(frame))), expected_pixels()
    )


@pytest.mark.parametrize("kind", ["i1", "i2"])
def test_a_signed_high_throughput_picture_comes_back_signed(kind: str) -> None:
    half = 2 ** (8 * int(kind[1]) - 1)
    stored = np.random.default_rng(1).integers(-half, half, (20, 16)).astype(kind)
    again = stored_pixels(_encapsulated(stored, HTJ2KLossless, bytes(ENCODERS[HTJ2KLossless](stored))))
    assert again.dtype == stored.dtype
    assert np.array_equal(again, stored)


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2K], ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("white", [255, 65535])
def test_white_stays_white_where_a_high_throughput_picture_lost_something(white: int, syntax: UID) -> None:
    # A decoder may turn what comes out a little whiter than white into black.
    kind = np.uint8 if white == 255 else np.uint16
    stored = (np.random.default_rng(2).integers(0, 2, (64, 48)) * white).astype(kind)
    frame = bytes(imagecodecs.htj2k_encode(stored, reversible=False))
    again = stored_pixels(_encapsulated(stored, syntax, frame))
    assert np.abs(again.astype(int) - stored).max() < 10


def test_a_picture_that_lacks_the_last_of_its_resolutions_is_refused() -> None:
    # OpenJPEG makes a blurred one of it, without a word.
    frame = bytes(imagecodecs.htj2k_encode(expected_pixels(), reversible=True, tilepart=1))
    assert np.array_equal(stored_pixels(_encapsulated(expected_pixels(), HTJ2KLossless, frame)), expected_pixels())
    lacking = frame[: frame.rindex(b"\xff\x90")] + b"\xff\xd9"
    with pytest.raises(PicturesUnusable, match="stops short"):
        stored_pixels(_encapsulated(expected_pixels(), HTJ2KLossless, lacking))


def test_a_high_throughput_picture_in_tiles_decodes_to_the_very_pixels_that_went_in() -> None:
    frame = bytes(imagecodecs.htj2k_encode(expected_pixels(), reversible=True, tile=(32, 32)))
    assert np.array_equal(stored_pixels(_encapsulated(expected_pixels(), HTJ2KLossless, frame)), expected_pixels())


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, HTJ2KLossless], ids=lambda syntax: syntax.keyword)
def test_a_picture_cut_into_millions_of_pieces_is_refused_before_memory_is_asked_for_them(syntax: UID) -> None:
    # OpenJPEG takes 4.6 GB and five seconds for this one.
    stored = np.zeros((3328, 2560), dtype=np.uint16)
    frame = bytes(ENCODERS[syntax](stored))
    place = frame.index(b"\xff\x52")
    style = bytearray(frame[place : place + 2 + int.from_bytes(frame[place + 2 : place + 4], "big")])
    levels = style[9]
    sizes = bytes([0x00, *[0x11] * levels])
    style[4] |= 1
    style[2:4] = (len(style) - 2 + len(sizes)).to_bytes(2, "big")
    fine = frame[:place] + bytes(style) + sizes + frame[place + len(style) :]
    with pytest.raises(PicturesUnusable, match="more pieces"):
        stored_pixels(_encapsulated(stored, syntax, fine))


def test_a_jpeg_of_another_kind_than_its_transfer_syntax_is_refused() -> None:
    frame = bytes(ENCODERS[JPEGLosslessSV1](expected_pixels()))
    image = _encapsulated(expected_pixels(), JPEGExtended12Bit, frame)
    with pytest.raises(PicturesUnusable, match="kind of JPEG"):
        stored_pixels(image)


@pytest.mark.parametrize("syntax", [RLELossless, *ENCODERS], ids=lambda syntax: syntax.keyword)
@settings(max_examples=60)
@given(data=st.data())
def test_damaged_bytes_give_a_picture_of_the_right_size_or_a_refusal_and_never_a_crash(
    syntax: UID, data: st.DataObject
) -> None:
    stored = expected_pixels()[:20, :16]
    damaged = bytearray(_frame_of(syntax))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PicturesUnusable):
        assert stored_pixels(_encapsulated(stored, syntax, bytes(damaged))).shape == stored.shape


def _frame_of(syntax: UID) -> bytes:
    stored = expected_pixels()[:20, :16]
    if syntax != RLELossless:
        return bytes(ENCODERS[syntax](np.ascontiguousarray(stored)))
    image = mammogram(rows=20, columns=16)
    image.PixelData = stored.tobytes()
    image.compress(RLELossless, generate_instance_uid=False)
    return get_frame(image.PixelData, 0, number_of_frames=1)


@pytest.mark.integration
@pytest.mark.parametrize(("encode", "syntax"), [("+ee", JPEGExtended12Bit), ("+eb", JPEGBaseline8Bit)])
def test_a_lossy_jpeg_decodes_to_the_pixels_that_dcmtk_decodes_it_to(encode: str, syntax: UID, tmp_path: Path) -> None:
    original, packed, unpacked = (tmp_path / name for name in ("in.dcm", "packed.dcm", "unpacked.dcm"))
    original.write_bytes(file_bytes(mammogram(seed=3)))
    dcmtk("dcmcjpeg", encode, str(original), str(packed))
    dcmtk("dcmdjpeg", str(packed), str(unpacked))
    image = pydicom.dcmread(packed)
    assert image.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(stored_pixels(image), stored_pixels(pydicom.dcmread(unpacked)))


@pytest.fixture
def _odd_files_may_warn() -> Iterator[None]:
    """pydicom warns of nearly every one of its odd files: a warning there is not what these tests are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.usefixtures("_odd_files_may_warn")
@pytest.mark.parametrize("path", AWKWARD, ids=lambda path: path.name)
def test_an_awkward_file_is_a_picture_or_refused_and_never_a_crash(path: Path) -> None:
    image = pydicom.dcmread(path, force=True)
    with contextlib.suppress(PicturesUnusable):  # a refusal is as good an outcome as a picture
        assert stored_pixels(image).ndim == 2
    selection = select_views([image])
    assert not selection.images
    assert selection.left_out
    assert select_views_for_research([image]).refusals


def _pydicom_decodes() -> Iterator[tuple[Path, str]]:
    """Compressed greyscale files of pydicom's own, with each plugin of pydicom's that can decode them here."""
    for path in AWKWARD:
        image = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        syntax = getattr(getattr(image, "file_meta", None), "TransferSyntaxUID", None)
        if syntax in DECODERS and image.get("SamplesPerPixel") == 1 and image.get("BitsAllocated") in (8, 16):
            yield from ((path, plugin) for plugin in get_decoder(syntax).available_plugins)


@pytest.mark.usefixtures("_odd_files_may_warn")
def test_pydicom_s_own_compressed_files_decode_as_pydicom_s_own_plugins_decode_them() -> None:
    compared = set()
    for path, plugin in _pydicom_decodes():
        image = pydicom.dcmread(path, force=True)
        with contextlib.suppress(PicturesUnusable, RuntimeError, NotImplementedError):
            expected, ours = pixel_array(image, raw=True, decoding_plugin=plugin), stored_pixels(image)
            assert (ours.dtype.kind, ours.tolist()) == (expected.dtype.kind, expected.tolist()), (path.name, plugin)
            compared.add(path.name)
    assert len(compared) >= 7


def test_pydicom_brought_its_awkward_files() -> None:
    assert len(AWKWARD) > 150
