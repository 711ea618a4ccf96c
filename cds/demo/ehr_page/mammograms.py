"""The small pictures of each exam, hung as radiologists hang them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from cds.demo.dicom_folder import DicomFolder
from model.domain import STANDARD_VIEWS, Laterality, View, ViewPosition
from model.headers import text
from model.preprocessing import opened
from model.views import view_of

HUNG = tuple(
    View(side, position)
    for position in (ViewPosition.CC, ViewPosition.MLO)
    for side in (Laterality.RIGHT, Laterality.LEFT)  # back to back, her right side on the reader's left
)
KEPT = 400
BRIGHTEST_PERCENT, TISSUE_GREY = 99.5, 215


@dataclass(frozen=True)
class Picture:
    """One image of an exam: where it hangs, and its file; no file where the exam lacks the view."""

    label: str
    file: Path | None


@dataclass(frozen=True)
class Exam:
    """The pictures of one study, and the unit that made them."""

    device: str
    pictures: tuple[Picture, ...]


def exam(images: DicomFolder, study_uid: str | None) -> Exam | None:
    """What the archive holds of a study; None where it holds nothing."""
    files = tuple(one.path for one in images.instances(study_uid)) if study_uid else ()
    return _exam(files) if files else None


@lru_cache(maxsize=KEPT)
def _exam(files: tuple[Path, ...]) -> Exam:
    headers = {file: pydicom.dcmread(file, stop_before_pixels=True) for file in files}
    views = {file: view_of(header) for file, header in headers.items()}
    standard = {view: file for file, view in views.items() if view in STANDARD_VIEWS}
    others = [Picture(_label(views[file]), file) for file in files if file not in standard.values()]
    hung = [Picture(_label(view), standard.get(view)) for view in HUNG] if standard else []
    return Exam(_device(headers.values()), (*hung, *others))


def _label(view: View | None) -> str:
    return str(view or "view not stated")


def _device(headers: Iterable[pydicom.Dataset]) -> str:
    first = next(iter(headers))
    words = (text(first, keyword) for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions"))
    return " ".join(filter(None, words)) or "unit not stated"


@lru_cache(maxsize=KEPT)
def png(file: Path, height: int) -> bytes:
    """A picture of at most this many pixels in height; raises ModelError for an image that cannot be read."""
    view = opened(pydicom.dcmread(file))
    # Film has twenty times the pixels that are shown: most need not be looked at.
    step = max(1, view.stored.shape[0] // (3 * height))
    grey = replace(view, stored=view.stored[::step, ::step]).grey()
    # Without the marker's white, which would leave the breast dark.
    white = max(1.0, float(np.percentile(grey, BRIGHTEST_PERCENT)))
    picture = Image.fromarray(np.clip(TISSUE_GREY * grey / white, 0, 255).astype(np.uint8))
    picture.thumbnail((2 * height, height), Image.Resampling.BOX)
    written = BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()
