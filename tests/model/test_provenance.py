from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.domain import STANDARD_VIEWS
from model.provenance import pixel_digest, software, source_image
from tests.builders import mammogram

STORED = np.arange(600, dtype=np.uint16).reshape(20, 30)


@pytest.mark.parametrize(
    "same",
    [STORED.copy(), STORED.astype(">u2"), np.asfortranarray(STORED), np.repeat(STORED, 2, axis=1)[:, ::2]],
    ids=["a copy", "big endian", "by columns", "a part of something larger"],
)
def test_the_same_pixels_have_the_same_digest_however_they_lie_in_memory(same: NDArray[np.uint16]) -> None:
    assert pixel_digest(same) == pixel_digest(STORED)


def test_small_pixels_have_the_same_digest_in_one_byte_and_in_two() -> None:
    small = (STORED % 256).astype(np.uint8)
    assert pixel_digest(small) == pixel_digest(small.astype(np.uint16))


@pytest.mark.parametrize(
    "other",
    [STORED.reshape(30, 20), STORED.astype(np.int16), STORED[::-1], STORED + np.uint16(1)],
    ids=["another shape", "another sign", "another order", "other values"],
)
def test_other_pixels_have_another_digest(other: NDArray[np.integer]) -> None:
    assert pixel_digest(other) != pixel_digest(STORED)


@given(row=st.integers(0, 19), column=st.integers(0, 29), bit=st.integers(0, 15))
def test_one_bit_of_one_pixel_shows(row: int, column: int, bit: int) -> None:
    altered = STORED.copy()
    altered[row, column] ^= np.uint16(1 << bit)
    assert pixel_digest(altered) != pixel_digest(STORED)


def test_an_image_is_named_by_its_view_and_its_uid() -> None:
    image = mammogram()
    image.SOPInstanceUID = "1.2.3.4"
    source = source_image(STANDARD_VIEWS[2], image, STORED)
    assert (source.view, source.uid, source.sha256) == (STANDARD_VIEWS[2], "1.2.3.4", pixel_digest(STORED))


def test_an_image_without_a_uid_is_named_by_its_pixels_alone() -> None:
    image = mammogram()
    del image.SOPInstanceUID
    assert source_image(STANDARD_VIEWS[0], image, STORED).uid == ""


def test_the_software_is_named_with_its_versions() -> None:
    ours, torch = software().split(", ")
    assert ours.startswith("mammotrend ")
    assert torch.startswith("torch 2.")
