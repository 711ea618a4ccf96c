"""What a score was made from: a digest of every image's pixels, and the programs that computed."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom import Dataset

from model.domain import SourceImage, View
from model.headers import text


def source_image(view: View, image: Dataset, stored: NDArray[np.integer]) -> SourceImage:
    """The image by its UID and its decoded pixels."""
    return SourceImage(view, text(image, "SOPInstanceUID"), pixel_digest(stored))


def pixel_digest(stored: NDArray[np.integer]) -> str:
    """SHA-256 of stored values and their shape, the same whatever the transfer syntax and the byte order."""
    kind = f"<{stored.dtype.kind}2"
    rows, columns = stored.shape
    digest = hashlib.sha256(f"{rows} x {columns} {kind}\n".encode())
    digest.update(np.ascontiguousarray(stored, dtype=kind).data)
    return digest.hexdigest()


def software() -> str:
    """This program and torch, with their versions."""
    try:
        ours = version("mammotrend")
    except PackageNotFoundError:  # run from its sources, without an installation
        ours = "of unknown version"
    return f"mammotrend {ours}, torch {torch.__version__}"
