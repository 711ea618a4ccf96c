from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import RLELossless

from model.errors import PicturesUnusable
from model.preprocessing import PictureFormat, chest_wall_right, normalise, picture, resize, window
from tests.builders import file_bytes, mammogram
from tests.model.dcmtk import sixteen_bit_picture
from tests.model.golden_rules import GOLDEN, golden_mammogram

PUBLISHED = PictureFormat()
SMALL = PictureFormat(rows=32, columns=24)


def header(**elements: Any) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def image_of(stored: NDArray[np.integer], **elements: Any) -> pydicom.FileDataset:
    """A mammogram with these stored values, 16 bits of them."""
    image = mammogram(rows=stored.shape[0], columns=stored.shape[1])
    image.BitsStored, image.HighBit = 16, 15
    image.PixelRepresentation = int(stored.min() < 0)
    image.PixelData = stored.astype("<i2" if stored.min() < 0 else "<u2").tobytes()
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    return image


def table(first: int, bits: int, values: list[int], **elements: Any) -> Sequence:
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = values
    item["LUTData"].VR = "US"
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return Sequence([item])


def sha256(values: NDArray[Any], kind: str) -> str:
    return hashlib.sha256(np.ascontiguousarray(values.astype(kind)).tobytes()).hexdigest()


@pytest.mark.parametrize("name", list(GOLDEN["pixels"]))
def test_every_step_gives_the_original_s_numbers_bit_for_bit(name: str) -> None:
    golden = GOLDEN["pixels"][name]
    stored = golden_mammogram(golden["rows"], golden["cols"], golden["side"])
    rescale = {"RescaleSlope": "1", "RescaleIntercept": "0"} if golden["slope"] else {}
    assert sha256(stored, "<u2") == golden["raw_sha256_u16le"]
    grey = window(stored, header(**rescale))
    assert sha256(grey, "<i4") == golden["windowed_sha256_i32le"]
    resized = resize(grey, PUBLISHED)
    assert sha256(resized, "<i4") == golden["resized_sha256_i32le"]
    hung = chest_wall_right(resized)
    assert (hung is not resized) == golden["flipped"]
    assert sha256(normalise(hung, PUBLISHED), "<f4") == golden["tensor_sha256_f32le"]


def test_the_picture_of_a_file_has_the_original_s_numbers() -> None:
    golden = GOLDEN["pixels"]["sel_L_noslope"]
    stored = golden_mammogram(golden["rows"], golden["cols"], "L")
    result = picture(image_of(stored, BitsStored=12, HighBit=11), PUBLISHED)
    assert result.shape == (1, 2048, 1664)
    assert result.dtype == np.float32
    assert sha256(result, "<f4") == golden["tensor_sha256_f32le"]


def test_the_background_becomes_the_published_constant() -> None:
    result = picture(image_of(golden_mammogram(300, 240, "L")), SMALL)
    assert result.min() == pytest.approx(-0.58706343, abs=1e-7)


def test_the_minimum_becomes_black_and_the_maximum_white() -> None:
    grey = window(np.array([[100, 200], [1100, 600]], dtype=np.uint16), header())
    assert grey.tolist() == [[0, 6553], [65535, 32767]]


def test_the_window_is_computed_in_the_order_that_decides_its_last_grey_level() -> None:
    grey = window(np.array([[45, 48, 51, 90]], dtype=np.uint16), header())
    # Without rounding 48 would be 4369. ((48 - 67.5) / 45 + 0.5) * 65535 comes out below it and is cut off;
    # (48 - 45) / 45 * 65535 comes out at it, and with a reciprocal of the width 51 would be 8737.
    assert grey.tolist() == [[0, 4368, 8738, 65535]]


def test_monochrome1_is_inverted() -> None:
    stored = golden_mammogram(60, 40, "L")
    upright = window(stored, header())
    inverted = window((4095 - stored).astype(np.uint16), header(PhotometricInterpretation="MONOCHROME1"))
    # Truncation happens before the inversion, as DCMTK has it, so the two differ by the last bit.
    assert np.abs(upright.astype(int) - inverted.astype(int)).max() <= 1
    assert inverted[stored == 0].max() == 0


def test_a_sigmoid_window_follows_the_standard_s_curve() -> None:
    stored = np.arange(0, 4096, dtype=np.uint16).reshape(64, 64)
    grey = window(stored, header(VOILUTFunction="SIGMOID"))
    expected = 65535 / (1 + np.exp(-4 * (stored - 2048.0) / 4096))
    assert np.array_equal(grey, expected.astype(np.uint16))
    assert grey[0, 0] == 7811


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "", None])
def test_every_other_window_function_is_linear(function: str | None) -> None:
    stored = golden_mammogram(60, 40, "L")
    assert np.array_equal(window(stored, header(VOILUTFunction=function)), window(stored, header()))


def test_the_window_written_in_the_header_is_not_used() -> None:
    stored = golden_mammogram(60, 40, "L")
    narrow = header(WindowCenter=[100, 200, 300], WindowWidth=[1, 2, 3])
    assert np.array_equal(window(stored, narrow), window(stored, header()))


@pytest.mark.parametrize("manufacturer", ["GE MEDICAL SYSTEMS", "GE Healthcare", "ge", "GE-Medical"])
def test_the_first_table_of_a_ge_image_is_used(manufacturer: str) -> None:
    stored = np.array([[0, 1], [2, 3]], dtype=np.uint16)
    grey = window(stored, header(Manufacturer=manufacturer, VOILUTSequence=table(0, 12, [5, 10, 1000, 4095])))
    assert grey.tolist() == [[80, 160], [16000, 65520]]


def test_values_outside_the_ge_table_get_its_ends() -> None:
    stored = np.array([[0, 10], [11, 90]], dtype=np.uint16)
    grey = window(stored, header(Manufacturer="GE", VOILUTSequence=table(10, 16, [7, 60000])))
    assert grey.tolist() == [[7, 7], [60000, 60000]]


@pytest.mark.parametrize("manufacturer", ["AGFA-GEVAERT", "GENDEX", "Hologic GE lookalike", "", None])
def test_the_table_of_another_manufacturer_is_not_used(manufacturer: str | None) -> None:
    stored = np.array([[0, 1], [2, 3]], dtype=np.uint16)
    with_table = header(Manufacturer=manufacturer, VOILUTSequence=table(0, 12, [5, 10, 1000, 4095]))
    assert np.array_equal(window(stored, with_table), window(stored, header()))


@pytest.mark.parametrize(
    "broken",
    [
        Sequence([Dataset()]),
        table(0, 8, [0, 5, 1000, 4095]),
        table(0, 40, [0, 1, 2, 3]),
        table(0, 0, [0, 1, 2, 3]),
    ],
    ids=["empty item", "values of more bits", "too many bits", "no bits"],
)
def test_a_ge_table_that_contradicts_itself_is_refused(broken: Sequence) -> None:
    with pytest.raises(PicturesUnusable, match="VOI table"):
        window(np.array([[0, 1], [2, 3]], dtype=np.uint16), header(Manufacturer="GE", VOILUTSequence=broken))


def test_sixteen_bits_without_rescale_do_not_wrap() -> None:
    stored = np.array([[0, 32767], [32768, 65535]], dtype=np.uint16)
    assert window(stored, header()).tolist() == [[0, 32767], [32768, 65535]]
    assert resize(window(stored, header()), PictureFormat(2, 2)).tolist() == [[0, 32767], [32768, 65535]]


def test_negative_stored_values_keep_their_order() -> None:
    stored = np.array([[-32768, -1], [0, 32767]], dtype=np.int16)
    assert window(stored, header()).tolist() == [[0, 32767], [32768, 65535]]


def test_negative_stored_values_reach_the_picture() -> None:
    stored = golden_mammogram(60, 40, "L").astype(np.int32)
    shifted = picture(image_of(stored - 2000), SMALL)
    assert np.array_equal(shifted, picture(image_of(stored), SMALL))


@pytest.mark.parametrize(("slope", "intercept"), [("2", "-100"), ("0.5", "1000")])
def test_a_rising_rescale_changes_nothing_under_a_window_by_minimum_and_maximum(slope: str, intercept: str) -> None:
    stored = golden_mammogram(60, 40, "L")
    rescaled = window(stored, header(RescaleSlope=slope, RescaleIntercept=intercept)).astype(int)
    assert np.abs(rescaled - window(stored, header()).astype(int)).max() <= 1


def test_a_falling_rescale_turns_the_picture_over() -> None:
    stored = np.array([[0, 100]], dtype=np.uint16)
    assert window(stored, header(RescaleSlope="-1", RescaleIntercept="100")).tolist() == [[65535, 0]]


def test_a_modality_table_is_used_and_only_the_values_in_the_picture_set_the_window() -> None:
    stored = np.array([[0, 3]], dtype=np.uint16)
    lut = table(0, 16, [10, 60000, 0, 20], ModalityLUTType="US")
    assert window(stored, header(ModalityLUTSequence=lut)).tolist() == [[0, 65535]]


@pytest.mark.parametrize(
    "rescale",
    [
        {"RescaleSlope": float("nan"), "RescaleIntercept": 0},
        {"RescaleSlope": float("inf"), "RescaleIntercept": 0},
        {"RescaleSlope": 1e300, "RescaleIntercept": 0},
        {"RescaleSlope": [1, 2], "RescaleIntercept": 0},
        {"ModalityLUTSequence": Sequence([Dataset()])},
    ],
)
@pytest.mark.filterwarnings("ignore:(invalid value|overflow):RuntimeWarning")  # NumPy warns of what we then refuse
@pytest.mark.filterwarnings("ignore:.*DS.*:UserWarning")  # pydicom warns when the test writes what files hold
def test_a_rescale_that_gives_no_numbers_is_refused(rescale: dict[str, Any]) -> None:
    with pytest.raises(PicturesUnusable, match="rescale"):
        window(np.array([[0, 1], [2, 3]], dtype=np.uint16), header(**rescale))


def test_the_window_of_a_constant_picture_is_black_as_in_the_original() -> None:
    assert window(np.full((4, 4), 1234, dtype=np.uint16), header()).max() == 0


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_blank_picture_is_refused_rather_than_scored(photometric: str) -> None:
    image = image_of(np.full((40, 40), 1234, dtype=np.uint16), PhotometricInterpretation=photometric)
    with pytest.raises(PicturesUnusable, match="blank"):
        picture(image, SMALL)


def test_a_picture_that_its_rescale_makes_blank_is_refused() -> None:
    image = image_of(golden_mammogram(60, 40, "L"), RescaleSlope="0", RescaleIntercept="5")
    with pytest.raises(PicturesUnusable, match="blank"):
        picture(image, SMALL)


def test_the_columns_are_resized_and_rounded_before_the_rows() -> None:
    grey = np.array([[2, 1], [0, 0], [2, 0], [2, 0]], dtype=np.int32)
    # By hand: rows of 2 2 1 1, 0 0 0 0, 2 2 1 0 and 2 2 1 0 (1.75 and 1.25, 1.5 and 0.5 rounded), then weights of
    # 3, 3, 1 and of 1, 3, 3 sevenths. Rows first would give a 0 in the third place.
    assert resize(grey, PictureFormat(2, 4)).tolist() == [[1, 1, 1, 0], [2, 2, 1, 0]]


def test_brightness_and_not_laterality_decides_which_way_the_breast_looks() -> None:
    left, right = (golden_mammogram(300, 240, side) for side in "LR")
    expected = picture(image_of(left, ImageLaterality="L"), SMALL)
    assert np.array_equal(picture(image_of(left, ImageLaterality="R"), SMALL), expected)
    assert expected[0, :, -6:].mean() > expected[0, :, :6].mean()
    turned = picture(image_of(right, ImageLaterality="L"), SMALL)
    assert turned[0, :, -6:].mean() > turned[0, :, :6].mean()
    assert np.abs(turned - expected).max() < 0.001


def test_equal_quarters_leave_the_picture_as_it_hangs() -> None:
    grey = np.array([[5, 1, 2, 5]], dtype=np.int32)
    assert chest_wall_right(grey) is grey


def test_quarters_of_a_full_size_white_picture_are_summed_without_overflow() -> None:
    grey = np.zeros((2048, 1664), dtype=np.int32)
    grey[:, :416] = 65535  # its sum, 55 thousand millions, does not fit 32 bits
    assert chest_wall_right(grey)[0, -1] == 65535


@settings(max_examples=25)
@given(
    stored=st.lists(st.integers(-32768, 32767), min_size=4, max_size=60),
    slope=st.sampled_from([None, 1.0, 0.25, 3.0]),
    sigmoid=st.booleans(),
)
def test_brighter_stored_values_never_come_out_darker(stored: list[int], slope: float | None, sigmoid: bool) -> None:
    values = np.array([sorted(stored)], dtype=np.int16)
    rescale = {} if slope is None else {"RescaleSlope": slope, "RescaleIntercept": -7}
    grey = window(values, header(**rescale, **({"VOILUTFunction": "SIGMOID"} if sigmoid else {})))
    assert (np.diff(grey[0].astype(int)) >= 0).all()


def dcmtk_cases() -> dict[str, pydicom.FileDataset]:
    stored = golden_mammogram(200, 150, "L")
    compressed = image_of(stored, BitsStored=12, HighBit=11)
    compressed.compress(RLELossless, generate_instance_uid=False)
    return {
        "linear": image_of(stored),
        "window in the header": image_of(stored, WindowCenter="100", WindowWidth="20"),
        "MONOCHROME1": image_of(stored, PhotometricInterpretation="MONOCHROME1"),
        "rescaled": image_of(stored, RescaleSlope="2", RescaleIntercept="-1000"),
        "signed": image_of(stored.astype(np.int32) - 1500),
        "sixteen bits": image_of(stored.astype(np.int32) * 18),
        "RLE": compressed,
        "sigmoid": image_of(stored, WindowCenter="2000", WindowWidth="3000", VOILUTFunction="SIGMOID"),
        "padding": image_of(stored, PixelPaddingValue=0),
    }


@pytest.mark.integration
@pytest.mark.parametrize("case", list(dcmtk_cases()))
def test_the_window_agrees_with_dcmtk(case: str, tmp_path: Path) -> None:
    image = dcmtk_cases()[case]
    (tmp_path / "image.dcm").write_bytes(file_bytes(image))
    shown = sixteen_bit_picture(tmp_path / "image.dcm").astype(int)
    ours = window(image.pixel_array, image).astype(int)
    assert np.abs(shown - ours).max() <= (12 if case == "sigmoid" else 1)
    assert np.ptp(ours) > 40_000
