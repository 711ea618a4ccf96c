"""DICOM image -> the network's input, number for number as Mirai was trained: window, resize, flip, normalise.

The order of the arithmetic is part of the model: another order is off by one grey level in places, and another
resampling by thousands. Source: the original `onconet` code run through DCMTK and Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi

from model.decoding import stored_pixels
from model.errors import PicturesUnusable
from model.headers import FAULTS, items, text

VERSION: Final = "minmax-v1"
"""Changes whenever a picture would come out different: scores of two versions are never compared."""

WHITE: Final = 65535

ROWS_AT_ONCE: Final = 16

LARGEST_VALUE: Final = 1e9
"""Rescaled values from here on come from a broken header; arithmetic on them could overflow."""


@dataclass(frozen=True)
class PictureFormat:
    """Size and normalisation of the network's input. Defaults: the published Mirai release."""

    rows: int = 2048
    columns: int = 1664
    mean: float = 7047.99
    std: float = 12005.5


@dataclass(frozen=True, eq=False)
class Windowed:
    """A decoded picture, (rows, columns) of stored values, and the grey level of every value from `lowest` on.

    The table gives the same numbers as the formula on every pixel, and can be looked up here or on a GPU.
    """

    stored: NDArray[np.integer]
    lowest: int
    table: NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        return self.stored.nbytes + self.table.nbytes

    @property
    def is_blank(self) -> bool:
        """Whether all pixels are of one grey."""
        # The lowest and the highest value do occur; only where they look alike does it matter what lies between.
        return bool(self.table[0] == self.table[-1] and (self.grey() == self.table[0]).all())

    def grey(self) -> NDArray[np.int32]:
        """Grey levels 0 to 65535, brightest tissue white; some rows at a time, whose indices fit the CPU's cache."""
        grey = np.empty(self.stored.shape, dtype=np.int32)
        for top in range(0, len(grey), ROWS_AT_ONCE):
            rows = slice(top, top + ROWS_AT_ONCE)
            index = self.stored[rows].astype(np.intp)
            index -= self.lowest
            np.take(self.table, index, out=grey[rows], mode="clip")  # clips nothing; other modes make NumPy copy `out`
        return grey


def picture(image: Dataset, form: PictureFormat) -> NDArray[np.float32]:
    """One view as the network wants it, shape (1, rows, columns); raises PicturesUnusable."""
    return finished(opened(image), form)


def opened(image: Dataset) -> Windowed:
    """One view decoded, with its grey levels; raises PicturesUnusable, also where there is nothing to see."""
    view = windowed(stored_pixels(image), image)
    if view.is_blank:
        # The original scores a blank picture as if it showed a breast.
        raise PicturesUnusable("the picture is blank: all its pixels have the same value")
    return view


def finished(view: Windowed, form: PictureFormat) -> NDArray[np.float32]:
    """What is left to do after `opened`; `model.device_pictures` does the same on a GPU."""
    return normalise(chest_wall_right(resize(view.grey(), form)), form)


def window(stored: NDArray[np.integer], image: Dataset) -> NDArray[np.int32]:
    """Stored values -> grey levels 0 to 65535, brightest tissue white, by the picture's own minimum and maximum."""
    return windowed(stored, image).grey()


def windowed(stored: NDArray[np.integer], image: Dataset) -> Windowed:
    """The grey level of every stored value, by the picture's own minimum and maximum; raises PicturesUnusable."""
    lowest, highest = int(stored.min()), int(stored.max())
    values = _modality_values(np.arange(lowest, highest + 1, dtype=np.int32), image)
    if "ModalityLUTSequence" in image:
        # A table need not be monotonic: only values that occur in the picture set its minimum and maximum.
        occurs = np.bincount(stored.ravel().astype(np.int32) - lowest, minlength=len(values)) > 0
        values = np.where(occurs, values, values[int(stored.flat[0]) - lowest])
    table = _grey_levels(values, image)
    if text(image, "PhotometricInterpretation") == "MONOCHROME1":
        # The training pictures were all "bright is dense"; the original's pydicom path forgets this.
        table = (WHITE - table).astype(np.uint16)
    return Windowed(stored, lowest, table.astype(np.int32))


def _modality_values(levels: NDArray[np.int32], image: Dataset) -> NDArray[np.float64]:
    try:
        values = np.asarray(apply_modality_lut(levels, image), dtype=np.float64)
    except FAULTS as e:
        raise PicturesUnusable(f"the rescale or modality table cannot be applied ({type(e).__name__})") from e
    if not (np.abs(values) < LARGEST_VALUE).all():  # what is not a number is not less either
        raise PicturesUnusable("the rescale slope, intercept or table of the header gives values that no detector has")
    return values


def _grey_levels(values: NDArray[np.float64], image: Dataset) -> NDArray[np.uint16]:
    if _is_ge(image) and items(image, "VOILUTSequence"):
        return _table_window(values, image)
    if values.min() == values.max():
        return np.zeros(values.shape, dtype=np.uint16)
    sigmoid = text(image, "VOILUTFunction") == "SIGMOID"
    return _sigmoid_window(values) if sigmoid else _linear_window(values)


def _linear_window(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Minimum to 0, maximum to 65535. LINEAR_EXACT differs from LINEAR only in a centre that this never reads."""
    low, high = values.min(), values.max()
    centre, width = (low + high) / 2, high - low
    grey = ((values - centre) / width + 0.5) * WHITE
    grey[values <= centre - width / 2] = 0
    grey[values > centre + width / 2] = WHITE
    return np.asarray(grey, dtype=np.uint16)


def _sigmoid_window(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    """DCMTK keeps the SIGMOID function of the header when it windows by minimum and maximum; so did the training."""
    low, high = values.min(), values.max()
    centre, width = (low + high + 1) / 2, high - low + 1
    return np.asarray(WHITE / (1 + np.exp(-4 * (values - centre) / width)), dtype=np.uint16)


def _table_window(values: NDArray[np.float64], image: Dataset) -> NDArray[np.uint16]:
    """The first table of a GE header, stretched to 16 bits."""
    try:
        bits = int(image.VOILUTSequence[0].LUTDescriptor[2])
        looked_up = apply_voi(values.astype(np.int32), image, 0).astype(np.int64)
    except FAULTS as e:
        raise PicturesUnusable(f"the VOI table of the header cannot be applied ({type(e).__name__})") from e
    if not 8 <= bits <= 16 or looked_up.max() >> bits:
        raise PicturesUnusable("the VOI table of the header holds values of more bits than it says")
    return np.asarray(looked_up * 2 ** (16 - bits), dtype=np.uint16)


def _is_ge(image: Dataset) -> bool:
    """GE by its first word: a search for the two letters would also match AGFA-GEVAERT."""
    return text(image, "Manufacturer").upper().replace("-", " ").split()[:1] == ["GE"]


def resize(grey: NDArray[np.int32], form: PictureFormat) -> NDArray[np.int32]:
    """To the network's size, aspect not kept: bilinear with antialias, each pass rounded, which is Pillow's mode I.

    The columns come first, as in training. Asked for both at once, a current Pillow takes the cheaper order, and then
    a narrow picture is off by one grey level in places.
    """
    narrow = Image.fromarray(grey).resize((form.columns, len(grey)), Image.Resampling.BILINEAR)
    return np.asarray(narrow.resize((form.columns, form.rows), Image.Resampling.BILINEAR), dtype=np.int32)


def chest_wall_right(grey: NDArray[np.int32]) -> NDArray[np.int32]:
    """Mirror when the left quarter is the brighter one: brightness decides, not laterality, as in training."""
    quarter = grey.shape[1] // 4
    left = grey[:, :quarter].sum(dtype=np.int64)
    right = grey[:, -quarter:].sum(dtype=np.int64)
    return grey[:, ::-1] if left > right else grey


def normalise(grey: NDArray[np.int32], form: PictureFormat) -> NDArray[np.float32]:
    """Grey levels (rows, columns) -> standardised float32 of shape (1, rows, columns)."""
    standardised = grey.astype(np.float32, order="C")[np.newaxis]
    standardised -= np.float32(form.mean)
    standardised /= np.float32(form.std)
    return standardised
