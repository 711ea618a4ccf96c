"""`model.preprocessing.finished` in torch, for a device that is faster at it than the CPU: the very same numbers.

Same arithmetic in the same order, so there is no other rounding to explain: float64 sums over the taps one after the
other, as Pillow's mode I adds them. A matrix product would be quicker and would round ties otherwise.

Nothing of this was run on a GPU: that the numbers are the same was seen on a CPU, and the self-check looks again on the
device that makes a site's pictures (`model.self_check`).
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.preprocessing import PictureFormat, Windowed


class DevicePictures:
    """Makes pictures on a device, for any thread, while the network computes on it.

    On CUDA pixels go there from page-locked memory, and all is done on a stream of its own. A picture is handed out
    when it is there, so nobody else has to wait for that stream; one is begun at a time, so what lies between takes
    the memory of one.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._turn = device, Lock()
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def __call__(self, view: Windowed, form: PictureFormat) -> Tensor:
        """As `finished_on`."""
        if self._stream is None:
            return finished_on(self._device, view, form)
        pinned = _words(view).pin_memory(), _table(view).pin_memory()
        # Whoever leaves a stream is put back on the GPU of before, which without the first of these would be begun.
        with self._turn, torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            words, table = (one.to(self._device, non_blocking=True) for one in pinned)
            picture = _finished(words, table, view, form)
            done = self._stream.record_event()
        done.synchronize()
        return picture


def finished_on(device: torch.device, view: Windowed, form: PictureFormat) -> Tensor:
    """One opened view as the network wants it: float32 of shape (1, rows, columns) on `device`."""
    return _finished(_words(view).to(device), _table(view).to(device), view, form)


def _words(view: Windowed) -> Tensor:
    """The stored values as they travel: torch computes little with unsigned 16 bits, so as if they were signed."""
    stored = view.stored
    return torch.from_numpy(np.require(stored, f"{stored.dtype.kind}2", requirements=["C", "W"]).view(np.int16))


def _table(view: Windowed) -> Tensor:
    """The grey levels; torch will not have memory that nobody may write to, such as that of another machine's view."""
    return torch.from_numpy(np.require(view.table, requirements="W"))


@torch.inference_mode()
def _finished(words: Tensor, table: Tensor, view: Windowed, form: PictureFormat) -> Tensor:
    """Only computes on the device: a copy to it would wait for all that was begun before."""
    grey = _looked_up(words, table, view)
    grey = _resampled(_resampled(grey, form.columns).T, form.rows).T
    return _normalised(_chest_wall_right(grey), form)


def _looked_up(words: Tensor, table: Tensor, view: Windowed) -> Tensor:
    """Grey levels, (rows, columns), as float64: the table has whole numbers, which stay exact."""
    index = words.to(torch.int64)
    if view.stored.dtype.kind == "u":
        index &= 0xFFFF
    return table.to(torch.float64)[index - view.lowest]


def _resampled(grey: Tensor, size: int) -> Tensor:
    """Columns resampled to `size`, bilinear with antialias, rounded half up."""
    if grey.shape[1] == size:
        return grey
    columns, weights = _taps(grey.shape[1], size, grey.device)
    total = grey[:, columns[0]] * weights[0]
    for column, weight in zip(columns[1:], weights[1:], strict=True):
        total += grey[:, column] * weight  # two operations: a fused one would round once instead of twice
    return torch.floor(total + 0.5)


@lru_cache(maxsize=32)
def _taps(before: int, after: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which columns make each new one, and their weights; both (taps, after). A site has a few detector sizes."""
    columns, weights = _taps_of_pillow(before, after)
    return torch.from_numpy(columns).to(device), torch.from_numpy(weights).to(device)


def _taps_of_pillow(before: int, after: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    scale = before / after
    reach = max(scale, 1.0)
    centre = (np.arange(after) + 0.5) * scale
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + reach + 0.5).astype(np.int64), before)
    place = np.arange((end - first).max())[:, None]
    distance = np.abs((place + first - centre + 0.5) * (1.0 / reach))
    weights = np.where(first + place < end, np.maximum(1.0 - distance, 0.0), 0.0)
    total = np.zeros(after)
    for row in weights:  # one after the other: NumPy's sum adds in pairs
        total += row
    return np.minimum(first + place, before - 1), weights / total


def _chest_wall_right(grey: Tensor) -> Tensor:
    """Mirrored when the left quarter is the brighter one, decided on the device: nothing waits for the answer."""
    quarter = grey.shape[1] // 4
    left, right = grey[:, :quarter].sum(), grey[:, -quarter:].sum()
    return torch.where(left > right, grey.flip(1), grey)


def _normalised(grey: Tensor, form: PictureFormat) -> Tensor:
    standardised = grey.to(torch.float32, memory_format=torch.contiguous_format)[None]
    # A divisor on the device: by a plain number CUDA multiplies with its reciprocal, which rounds otherwise.
    return (standardised - form.mean) / torch.full((), form.std, dtype=torch.float32, device=grey.device)
